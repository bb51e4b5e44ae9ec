//! Parses LVM's text format, which describes a group (syntax: lvm.conf(5)).
//!
//! ```text
//! name { id = "…" flags = [] size = 8192 # comment
//!        inner { … } }
//! ```

use std::collections::BTreeMap;

use super::damaged;
use crate::Result;

/// Limit of nested sections; a group has three levels.
const MAX_DEPTH: usize = 8;

/// Limit of values, including those in lists, and sections. A group with 10,000 volumes
/// has a fifth of that.
const MAX_VALUES: usize = 1 << 20;

/// A section: values and sections by their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    values: BTreeMap<String, Value>,
    sections: BTreeMap<String, Section>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(i64),
    Text(String),
    List(Vec<Value>),
}

impl Section {
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.sections
            .iter()
            .map(|(name, inner)| (name.as_str(), inner))
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> Result<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(damaged(format!("{name} is missing or not a text"))),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<u64> {
        match self.values.get(name) {
            Some(&Value::Number(number)) if number >= 0 => Ok(number as u64),
            _ => Err(damaged(format!("{name} is missing or not a number"))),
        }
    }

    /// The values of an entry; a single value counts as a list of one, a missing entry as
    /// empty.
    pub(super) fn values(&self, name: &str) -> &[Value] {
        match self.values.get(name) {
            Some(Value::List(list)) => list,
            Some(value) => std::slice::from_ref(value),
            None => &[],
        }
    }

    /// A list of texts.
    pub(super) fn list(&self, name: &str) -> Result<Vec<&str>> {
        let text = |value: &'_ Value| match value {
            Value::Text(_) => Ok(()),
            _ => Err(damaged(format!("{name} is not a list of texts"))),
        };
        self.values(name).iter().try_for_each(text)?;
        let texts = self.values(name).iter().filter_map(Value::as_text);
        Ok(texts.collect())
    }
}

impl Value {
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Parses a whole text.
pub(super) fn parse(text: &str) -> Result<Section> {
    let mut parser = Parser {
        rest: text,
        left: MAX_VALUES,
    };
    let section = parser.section(0)?;
    match parser.peek() {
        None => Ok(section),
        Some(extra) => Err(damaged(format!("unexpected {extra:?}"))),
    }
}

struct Parser<'a> {
    rest: &'a str,
    /// How many more values and sections are allowed.
    left: usize,
}

impl<'a> Parser<'a> {
    /// The next character that is not white space or in a comment.
    fn peek(&mut self) -> Option<char> {
        loop {
            // The area of a text may end with NULs.
            let space = |c: char| c.is_whitespace() || c == '\0';
            self.rest = self.rest.trim_start_matches(space);
            match self.rest.strip_prefix('#') {
                Some(comment) => {
                    self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
                }
                None => return self.rest.chars().next(),
            }
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        found
    }

    /// Counts a value or a section; an error if there are too many.
    fn count(&mut self) -> Result<()> {
        let left = self.left.checked_sub(1);
        self.left = left.ok_or_else(|| damaged(format!("it has more than {MAX_VALUES} values")))?;
        Ok(())
    }

    /// The characters up to the first that cannot be part of a word.
    fn word(&mut self) -> Result<&'a str> {
        self.peek();
        let ends = |c: char| !(c.is_ascii_alphanumeric() || "_-+.:/@".contains(c));
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "" => Err(damaged(match self.peek() {
                Some(found) => format!("{found:?} in place of a name"),
                None => "it ends too early".into(),
            })),
            word => Ok(word),
        }
    }

    fn section(&mut self, depth: usize) -> Result<Section> {
        if depth > MAX_DEPTH {
            return Err(damaged("its sections are nested too deeply"));
        }
        let mut section = Section::default();
        while !matches!(self.peek(), None | Some('}')) {
            self.count()?;
            let name = self.word()?.to_owned();
            if self.take('{') {
                let inner = self.section(depth + 1)?;
                if !self.take('}') {
                    return Err(damaged(format!("section {name} has no end")));
                }
                section.sections.insert(name, inner);
            } else if self.take('=') {
                let value = self.value(true)?;
                section.values.insert(name, value);
            } else {
                return Err(damaged(format!("{name} has no value")));
            }
        }
        Ok(section)
    }

    fn value(&mut self, lists: bool) -> Result<Value> {
        if self.take('"') {
            return self.text().map(Value::Text);
        }
        if !(lists && self.take('[')) {
            let word = self.word()?;
            let number = word.parse().map(Value::Number);
            return number.map_err(|_| damaged(format!("{word:?} is not a number")));
        }
        let mut list = Vec::new();
        while !self.take(']') {
            self.count()?;
            list.push(self.value(false)?);
            self.take(',');
        }
        Ok(Value::List(list))
    }

    /// The rest of a quoted text.
    fn text(&mut self) -> Result<String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                c => text.push(c),
            }
        }
        Err(damaged("a quoted text has no end"))
    }
}
