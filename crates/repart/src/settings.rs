//! The syntax of unit files, as far as definitions use it: sections, `Key=value`,
//! comments, lines that go on after a backslash (systemd.syntax(7)).

/// One `Key=value`, and where it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The line, from 1, that it begins on.
    pub(crate) line: usize,
    pub(crate) section: String,
    pub(crate) key: String,
    /// Without spaces around it.
    pub(crate) value: String,
}

/// All settings of a file; or a line, and what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Vec<Setting>, (usize, String)> {
    let mut settings = Vec::new();
    let mut section = None;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let first = number + 1;
        let mut line = line.trim().to_owned();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        while let Some(start) = line.strip_suffix('\\') {
            let start = start.trim_end().to_owned();
            // Comments between the parts do not end it.
            let Some((_, next)) = lines.find(|(_, next)| !next.trim().starts_with(['#', ';']))
            else {
                line = start;
                break;
            };
            line = format!("{start} {}", next.trim());
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or_else(|| {
                (
                    first,
                    format!("a section begins with \"[NAME]\", not {line:?}"),
                )
            })?;
            section = Some(name.to_owned());
        } else {
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| (first, format!("no \"=\" in {line:?}")))?;
            let section = section.clone().ok_or_else(|| {
                (
                    first,
                    "a setting before any section; begin with [Partition]".to_owned(),
                )
            })?;
            settings.push(Setting {
                line: first,
                section,
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
            });
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax() {
        let text = "# a comment\n\n[Partition]\n Type = root \nMakeDirectories=/a \\\n; not this\n   /b\n[Other]\nX=\nY=a\\\n";
        let settings = parse(text).unwrap();
        let told: Vec<_> = settings
            .iter()
            .map(|one| (one.line, &*one.section, &*one.key, &*one.value))
            .collect();
        assert_eq!(
            told,
            [
                (4, "Partition", "Type", "root"),
                (5, "Partition", "MakeDirectories", "/a /b"),
                (9, "Other", "X", ""),
                (10, "Other", "Y", "a"),
            ]
        );
        for (text, line) in [("Type=root", 1), ("\n[Part", 2), ("[Partition]\nroot", 2)] {
            assert_eq!(parse(text).unwrap_err().0, line, "{text}");
        }
    }
}
