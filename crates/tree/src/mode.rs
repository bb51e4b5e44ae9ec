//! [`ModeChange`]: parses and applies modes of chmod(1), octal or symbolic.

/// Set-user-ID, set-group-ID.
const SET_ID: u32 = 0o6000;
const STICKY: u32 = 0o1000;

/// A change of a file's permissions, in the syntax of chmod(1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeChange(Change);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Octal {
        mode: u32,
        /// Whether it had five digits or more, and so clears set-ID bits of directories
        /// too.
        full: bool,
    },
    Symbolic(Vec<Clause>),
}

/// "ug+x".
#[derive(Debug, Clone, PartialEq, Eq)]
struct Clause {
    /// The bits, of twelve, that it may change: "u" is 0o4700, "o" is 0o1007.
    who: u32,
    /// Whether no user class was given, so that the umask applies.
    everyone: bool,
    operator: u8,
    bits: Bits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bits {
    Given {
        /// The bits for all classes: "x" is 0o111.
        bits: u32,
        /// "X": execution of directories, and of files that any class may execute.
        execute: bool,
    },
    /// "g": the bits of the group.
    Of(u32),
}

impl ModeChange {
    /// Parses octal digits, or clauses like `u=rwX,go-w`.
    ///
    /// # Errors
    ///
    /// A message that says what modes look like.
    pub fn parse(text: &str) -> Result<ModeChange, String> {
        let wrong =
            || format!("{text:?} is not a mode: give octal digits, or clauses like u=rwX,go-w");
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).map_err(|_| wrong())?;
            let full = text.len() > 4;
            return match mode <= 0o7777 {
                true => Ok(ModeChange(Change::Octal { mode, full })),
                false => Err(wrong()),
            };
        }
        let mut clauses = Vec::new();
        for clause in text.split(',') {
            parse_clause(clause.as_bytes(), &mut clauses).ok_or_else(wrong)?;
        }
        Ok(ModeChange(Change::Symbolic(clauses)))
    }

    /// The new permissions (twelve bits) of a file that has the permissions `old`.
    pub fn apply(&self, old: u32, is_dir: bool, umask: u32) -> u32 {
        let old = old & 0o7777;
        match &self.0 {
            Change::Octal { mode, full } => match is_dir && !full {
                true => mode | old & SET_ID,
                false => *mode,
            },
            Change::Symbolic(clauses) => clauses
                .iter()
                .fold(old, |mode, clause| clause.apply(mode, is_dir, umask)),
        }
    }
}

impl Clause {
    fn apply(&self, old: u32, is_dir: bool, umask: u32) -> u32 {
        let wanted = match self.bits {
            Bits::Of(shift) => (old >> shift & 7) * 0o111,
            Bits::Given { bits, execute } => match execute && (is_dir || old & 0o111 != 0) {
                true => bits | 0o111,
                false => bits,
            },
        };
        let mask = match self.everyone {
            true => !umask,
            false => !0,
        };
        let bits = wanted & self.who & mask;
        match self.operator {
            b'+' => old | bits,
            b'-' => old & !bits,
            // "=" leaves a directory's set-ID bits alone, unless they are named.
            _ => {
                let kept = match is_dir {
                    true => SET_ID,
                    false => 0,
                };
                // "u=rw" is not about the sticky bit, "=" and "o=" are.
                old & !(self.who & !kept) | bits
            }
        }
    }
}

/// Parses "u+x-w": classes, then operators each with their bits.
fn parse_clause(clause: &[u8], clauses: &mut Vec<Clause>) -> Option<()> {
    let start = clause.iter().position(|byte| b"+-=".contains(byte))?;
    let (named, mut rest) = clause.split_at(start);
    let mut who = 0;
    for byte in named {
        who |= match byte {
            b'u' => 0o4700,
            b'g' => 0o2070,
            b'o' => STICKY | 0o007,
            b'a' => 0o7777,
            _ => return None,
        };
    }
    let everyone = named.is_empty();
    if everyone {
        who = 0o7777;
    }
    while let Some((&operator, after)) = rest.split_first() {
        let end = after.iter().position(|byte| b"+-=".contains(byte));
        let (letters, next) = after.split_at(end.unwrap_or(after.len()));
        clauses.push(Clause {
            who: match letters.contains(&b't') {
                // chmod(1) takes "u+t" for "+t".
                true => who | STICKY,
                false => who,
            },
            everyone,
            operator,
            bits: parse_bits(letters)?,
        });
        rest = next;
    }
    Some(())
}

fn parse_bits(letters: &[u8]) -> Option<Bits> {
    match letters {
        b"u" => return Some(Bits::Of(6)),
        b"g" => return Some(Bits::Of(3)),
        b"o" => return Some(Bits::Of(0)),
        _ => {}
    }
    let (mut bits, mut execute) = (0, false);
    for letter in letters {
        bits |= match letter {
            b'r' => 0o444,
            b'w' => 0o222,
            b'x' => 0o111,
            b's' => SET_ID,
            b't' => STICKY,
            b'X' => {
                execute = true;
                0
            }
            _ => return None,
        };
    }
    Some(Bits::Given { bits, execute })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str, old: u32, is_dir: bool, umask: u32) -> u32 {
        ModeChange::parse(text)
            .expect(text)
            .apply(old, is_dir, umask)
    }

    /// As chmod(1) of coreutils 9.1 does.
    #[test]
    fn files() {
        for (text, old, new) in [
            ("644", 0o4755, 0o644),
            ("1777", 0, 0o1777),
            ("0", 0o777, 0),
            ("u+x", 0o644, 0o744),
            ("a-x", 0o755, 0o644),
            ("+x", 0o644, 0o755),
            ("+w", 0o444, 0o644),
            ("go=", 0o777, 0o700),
            ("u=rw,g=r,o=", 0o4777, 0o640),
            ("g=u", 0o640, 0o660),
            ("o=g-w", 0o660, 0o664),
            ("u+s,g+s,+t", 0o755, 0o7755),
            ("u-s", 0o6755, 0o2755),
            ("a=rX", 0o600, 0o444),
            ("a=rX", 0o700, 0o555),
            ("a+X", 0o644, 0o644),
            ("u=rwx,go-rwx", 0o077, 0o700),
            ("=r", 0o777, 0o444),
        ] {
            assert_eq!(change(text, old, false, 0o022), new, "{text} of {old:o}");
        }
        assert_eq!(change("+w", 0o444, false, 0), 0o666);
    }

    #[test]
    fn directories_keep_set_id_bits() {
        for (text, old, new) in [
            ("755", 0o2775, 0o2755),
            ("00755", 0o2775, 0o755),
            ("a+X", 0o644, 0o755),
            ("g=rx", 0o2775, 0o2755),
            ("g-s", 0o2775, 0o775),
        ] {
            assert_eq!(change(text, old, true, 0o022), new, "{text} of {old:o}");
        }
    }

    #[test]
    fn what_is_no_mode() {
        for text in ["", "u", "888", "10000", "u+q", "z+x", "u+x,", "rwx", "u+ug"] {
            assert!(ModeChange::parse(text).is_err(), "{text}");
        }
    }
}
