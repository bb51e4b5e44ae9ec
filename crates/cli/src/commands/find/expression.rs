//! The expression of `find`: its tests, parsed and applied to files.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use drupe::{Metadata, Mount};

use super::{is_empty, number, users};
use crate::exit::{Failure, Stop};
use drupe_tree::ModeChange;
use drupe_tree::Names;
use drupe_tree::Node;
use drupe_tree::glob;

/// An expression and the options among its words.
#[derive(Debug)]
pub(super) struct Expression {
    root: Term,
    pub(super) min_depth: usize,
    pub(super) max_depth: usize,
    pub(super) deletes: bool,
    now: SystemTime,
}

/// What to do with a file that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Print,
    Print0,
    Delete,
}

#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) actions: Vec<Action>,
    /// Don't go into this directory.
    pub(super) prune: bool,
}

#[derive(Debug)]
enum Term {
    True,
    Not(Box<Term>),
    And(Vec<Term>),
    Or(Vec<Term>),
    Name {
        pattern: Vec<u8>,
        fold: bool,
    },
    Path {
        pattern: Vec<u8>,
        fold: bool,
    },
    Type(Vec<char>),
    Size {
        amount: Amount,
        unit: u64,
    },
    /// In units of so many seconds.
    Age {
        amount: Amount,
        unit: u64,
    },
    NewerThan(SystemTime),
    Perm {
        bits: u32,
        how: Perm,
    },
    Uid(Amount),
    Gid(Amount),
    Links(Amount),
    Inode(Amount),
    Empty,
    Prune,
    Do(Action),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Perm {
    Exactly,
    All,
    Any,
}

/// "+5", "-5", "5".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    More(u64),
    Less(u64),
    Exactly(u64),
}

impl Amount {
    fn parse(text: &str) -> Option<Amount> {
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().ok(),
            false => None,
        };
        match text.as_bytes().first()? {
            b'+' => number(&text[1..]).map(Amount::More),
            b'-' => number(&text[1..]).map(Amount::Less),
            _ => number(text).map(Amount::Exactly),
        }
    }

    fn fits(self, number: u64) -> bool {
        match self {
            Amount::More(than) => number > than,
            Amount::Less(than) => number < than,
            Amount::Exactly(this) => number == this,
        }
    }
}

/// Reads what is known of the file that `-newer` names.
type Reference<'a> = &'a mut dyn FnMut(&OsStr) -> Result<Metadata, Failure>;

struct Parser<'a> {
    words: std::iter::Peekable<std::slice::Iter<'a, OsString>>,
    reference: Reference<'a>,
    mount: &'a Mount,
    min_depth: usize,
    max_depth: usize,
    acts: bool,
    deletes: bool,
}

impl Expression {
    pub(super) fn parse(
        words: &[OsString],
        reference: Reference<'_>,
        mount: &Mount,
    ) -> Result<Expression, Failure> {
        let mut parser = Parser {
            words: words.iter().peekable(),
            reference,
            mount,
            min_depth: 0,
            max_depth: usize::MAX,
            acts: false,
            deletes: false,
        };
        let mut root = match words.is_empty() {
            true => Term::True,
            false => parser.or()?,
        };
        if let Some(word) = parser.words.next() {
            return Err(unexpected(word));
        }
        if !parser.acts {
            root = Term::And(vec![root, Term::Do(Action::Print)]);
        }
        Ok(Expression {
            root,
            min_depth: parser.min_depth,
            max_depth: parser.max_depth,
            deletes: parser.deletes,
            now: SystemTime::now(),
        })
    }

    pub(super) fn evaluate(&self, node: &Node<'_>) -> Result<Outcome, Stop> {
        let mut outcome = Outcome::default();
        self.holds(&self.root, node, &mut outcome)?;
        Ok(outcome)
    }

    fn holds(&self, term: &Term, node: &Node<'_>, outcome: &mut Outcome) -> Result<bool, Stop> {
        let metadata = node.metadata;
        Ok(match term {
            Term::True => true,
            Term::Not(inner) => !self.holds(inner, node, outcome)?,
            Term::And(all) => {
                for term in all {
                    if !self.holds(term, node, outcome)? {
                        return Ok(false);
                    }
                }
                true
            }
            Term::Or(any) => {
                for term in any {
                    if self.holds(term, node, outcome)? {
                        return Ok(true);
                    }
                }
                false
            }
            Term::Name { pattern, fold } => {
                let name = node.path.file_name().unwrap_or(OsStr::new("/"));
                glob::matches(pattern, name.as_bytes(), *fold)
            }
            Term::Path { pattern, fold } => {
                glob::matches(pattern, node.path.as_os_str().as_bytes(), *fold)
            }
            Term::Type(letters) => {
                let letter = match crate::describe::kind(metadata.file_type()).0 {
                    '-' => 'f',
                    letter => letter,
                };
                letters.contains(&letter)
            }
            Term::Size { amount, unit } => amount.fits(metadata.len().div_ceil(*unit)),
            Term::Age { amount, unit } => match metadata.modified() {
                Ok(time) => {
                    let age = self.now.duration_since(time).unwrap_or(Duration::ZERO);
                    amount.fits(age.as_secs() / unit)
                }
                Err(_) => false,
            },
            Term::NewerThan(time) => metadata.modified().is_ok_and(|own| own > *time),
            Term::Perm { bits, how } => {
                let mode = metadata.mode() & 0o7777;
                match how {
                    Perm::Exactly => mode == *bits,
                    Perm::All => mode & bits == *bits,
                    Perm::Any => *bits == 0 || mode & bits != 0,
                }
            }
            Term::Uid(amount) => amount.fits(metadata.uid().into()),
            Term::Gid(amount) => amount.fits(metadata.gid().into()),
            Term::Links(amount) => amount.fits(metadata.nlink()),
            Term::Inode(amount) => amount.fits(metadata.ino()),
            Term::Empty => is_empty(node)?,
            Term::Prune => {
                outcome.prune = true;
                true
            }
            Term::Do(action) => {
                outcome.actions.push(*action);
                true
            }
        })
    }
}

fn unexpected(word: &OsStr) -> Failure {
    Failure::usage(format!(
        "find: {:?} makes no sense here",
        word.to_string_lossy()
    ))
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Term, Failure> {
        let mut any = vec![self.and()?];
        while self
            .words
            .next_if(|word| matches!(word.as_bytes(), b"-o" | b"-or"))
            .is_some()
        {
            any.push(self.and()?);
        }
        Ok(match any.len() {
            1 => any.remove(0),
            _ => Term::Or(any),
        })
    }

    fn and(&mut self) -> Result<Term, Failure> {
        let mut all = vec![self.not()?];
        while let Some(word) = self.words.peek() {
            match word.as_bytes() {
                b"-o" | b"-or" | b")" => break,
                b"-a" | b"-and" => drop(self.words.next()),
                _ => {}
            }
            all.push(self.not()?);
        }
        Ok(match all.len() {
            1 => all.remove(0),
            _ => Term::And(all),
        })
    }

    fn not(&mut self) -> Result<Term, Failure> {
        let mut negated = false;
        while self
            .words
            .next_if(|word| matches!(word.as_bytes(), b"!" | b"-not"))
            .is_some()
        {
            negated = !negated;
        }
        let term = self.primary()?;
        Ok(match negated {
            true => Term::Not(Box::new(term)),
            false => term,
        })
    }

    fn primary(&mut self) -> Result<Term, Failure> {
        let Some(word) = self.words.next() else {
            return Err(Failure::usage("find: the expression ends too early"));
        };
        Ok(match word.as_bytes() {
            b"(" => {
                let inner = self.or()?;
                match self.words.next() {
                    Some(end) if end == ")" => inner,
                    _ => return Err(Failure::usage("find: a ) is missing")),
                }
            }
            b"-true" => Term::True,
            b"-name" | b"-iname" => Term::Name {
                pattern: self.argument(word)?.as_bytes().to_owned(),
                fold: word == "-iname",
            },
            b"-path" | b"-wholename" | b"-ipath" => Term::Path {
                pattern: self.argument(word)?.as_bytes().to_owned(),
                fold: word == "-ipath",
            },
            b"-type" => Term::Type(self.parsed(word, types)?),
            b"-size" => self.parsed(word, size)?,
            b"-mtime" => Term::Age {
                amount: self.parsed(word, Amount::parse)?,
                unit: 86400,
            },
            b"-mmin" => Term::Age {
                amount: self.parsed(word, Amount::parse)?,
                unit: 60,
            },
            b"-newer" => {
                let path = self.argument(word)?;
                Term::NewerThan((self.reference)(path)?.modified()?)
            }
            b"-perm" => self.parsed(word, perm)?,
            b"-user" => {
                let names = users(self.mount)?;
                Term::Uid(self.owner(word, &names)?)
            }
            b"-group" => {
                let names = Names::groups(self.mount)?;
                Term::Gid(self.owner(word, &names)?)
            }
            b"-uid" => Term::Uid(self.parsed(word, Amount::parse)?),
            b"-gid" => Term::Gid(self.parsed(word, Amount::parse)?),
            b"-links" => Term::Links(self.parsed(word, Amount::parse)?),
            b"-inum" => Term::Inode(self.parsed(word, Amount::parse)?),
            b"-empty" => Term::Empty,
            b"-prune" => Term::Prune,
            b"-maxdepth" => {
                self.max_depth = self.parsed(word, |text| text.parse().ok())?;
                Term::True
            }
            b"-mindepth" => {
                self.min_depth = self.parsed(word, |text| text.parse().ok())?;
                Term::True
            }
            b"-print" => self.action(Action::Print),
            b"-print0" => self.action(Action::Print0),
            b"-delete" => {
                self.deletes = true;
                self.action(Action::Delete)
            }
            _ => return Err(unexpected(word)),
        })
    }

    fn action(&mut self, action: Action) -> Term {
        self.acts = true;
        Term::Do(action)
    }

    fn argument(&mut self, of: &OsStr) -> Result<&'a OsStr, Failure> {
        let argument = self.words.next();
        let argument = argument.map(OsString::as_os_str);
        argument.ok_or_else(|| Failure::usage(format!("find: {} needs an argument", of.display())))
    }

    fn parsed<T>(&mut self, of: &OsStr, parse: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
        let argument = self.argument(of)?;
        argument.to_str().and_then(parse).ok_or_else(|| {
            let message = format!("find: {} does not take {argument:?}", of.display());
            Failure::usage(message)
        })
    }

    fn owner(&mut self, of: &OsStr, names: &Names) -> Result<Amount, Failure> {
        let number = self.parsed(of, |text| number(names, text))?;
        Ok(Amount::Exactly(number.into()))
    }
}

/// "f" or "f,d".
fn types(text: &str) -> Option<Vec<char>> {
    let letter = |part: &str| match part.as_bytes() {
        [letter @ (b'f' | b'd' | b'l' | b'b' | b'c' | b'p' | b's')] => Some(char::from(*letter)),
        _ => None,
    };
    text.split(',').map(letter).collect()
}

/// "+5M", "100c"; blocks of 512 without a unit.
fn size(text: &str) -> Option<Term> {
    let (number, unit) = match text.bytes().last()? {
        b'c' => (&text[..text.len() - 1], 1),
        b'w' => (&text[..text.len() - 1], 2),
        b'b' => (&text[..text.len() - 1], 512),
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 512),
    };
    let amount = Amount::parse(number)?;
    Some(Term::Size { amount, unit })
}

fn perm(text: &str) -> Option<Term> {
    let (how, mode) = match text.as_bytes().first()? {
        b'-' => (Perm::All, &text[1..]),
        b'/' => (Perm::Any, &text[1..]),
        _ => (Perm::Exactly, text),
    };
    let bits = ModeChange::parse(mode).ok()?.apply(0, false, 0);
    Some(Term::Perm { bits, how })
}
