//! [`FlagChange`]: the flags of inodes that chattr(1) and lsattr(1) change and show.

/// Letters, in the order in which lsattr has them, with their `FS_*_FL` bits
/// (include/uapi/linux/fs.h) and names. The last field: chattr cannot set it.
const FLAGS: [(char, u32, &str, bool); 22] = [
    ('s', 0x0000_0001, "Secure_Deletion", false),
    ('u', 0x0000_0002, "Undelete", false),
    ('S', 0x0000_0008, "Synchronous_Updates", false),
    ('D', 0x0001_0000, "Synchronous_Directory_Updates", false),
    ('i', 0x0000_0010, "Immutable", false),
    ('a', 0x0000_0020, "Append_Only", false),
    ('d', 0x0000_0040, "No_Dump", false),
    ('A', 0x0000_0080, "No_Atime", false),
    ('c', 0x0000_0004, "Compression_Requested", false),
    ('E', 0x0000_0800, "Encrypted", true),
    ('j', 0x0000_4000, "Journaled_Data", false),
    ('I', 0x0000_1000, "Indexed_directory", true),
    ('t', 0x0000_8000, "No_Tailmerging", false),
    ('T', 0x0002_0000, "Top_of_Directory_Hierarchies", false),
    ('e', 0x0008_0000, "Extents", false),
    ('C', 0x0080_0000, "No_COW", false),
    ('x', 0x0200_0000, "DAX", false),
    ('F', 0x4000_0000, "Casefold", false),
    ('N', 0x1000_0000, "Inline_Data", true),
    ('P', 0x2000_0000, "Project_Hierarchy", false),
    ('V', 0x0010_0000, "Verity", true),
    ('m', 0x0000_0400, "Dont_Compress", false),
];

/// "--------------e-------"
pub fn short(flags: u32) -> String {
    let letter = |(letter, bit, _, _): &(char, u32, &str, bool)| match flags & bit != 0 {
        true => *letter,
        false => '-',
    };
    FLAGS.iter().map(letter).collect()
}

/// "Extents, No_Atime", or "---" for none.
pub fn long(flags: u32) -> String {
    let set = FLAGS.iter().filter(|(_, bit, _, _)| flags & bit != 0);
    let names: Vec<&str> = set.map(|(_, _, name, _)| *name).collect();
    match names.is_empty() {
        true => "---".to_owned(),
        false => names.join(", "),
    }
}

/// A change of flags, as chattr takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagChange {
    add: u32,
    remove: u32,
    /// "=": those, and no others.
    exactly: Option<u32>,
}

impl FlagChange {
    /// Parses `+iA`, `-i`, `=a`, or several behind each other: `+i-A`.
    ///
    /// # Errors
    ///
    /// A message that says what is wrong.
    pub fn parse(text: &str) -> Result<FlagChange, String> {
        let mut change = FlagChange {
            add: 0,
            remove: 0,
            exactly: None,
        };
        let mut operator = None;
        for letter in text.chars() {
            if matches!(letter, '+' | '-' | '=') {
                operator = Some(letter);
                if letter == '=' {
                    change.exactly.get_or_insert(0);
                }
                continue;
            }
            let known = FLAGS.iter().find(|(known, ..)| *known == letter);
            let bit = match known {
                Some((_, bit, _, false)) => *bit,
                Some(_) => return Err(format!("the flag {letter:?} cannot be changed")),
                None => return Err(format!("there is no flag {letter:?}")),
            };
            match (operator, &mut change.exactly) {
                (Some('+'), _) => change.add |= bit,
                (Some('-'), _) => change.remove |= bit,
                (Some(_), Some(exactly)) => *exactly |= bit,
                _ => return Err("begin with +, - or =, and flags such as i or A".into()),
            }
        }
        if operator.is_none() {
            return Err("give +, - or =, and flags such as i or A".into());
        }
        if change.exactly.is_some() && change.add | change.remove != 0 {
            return Err("= does not go with + and -".into());
        }
        if change.add & change.remove != 0 {
            return Err("a flag cannot be both added and removed".into());
        }
        Ok(change)
    }

    /// The new flags of a file. What only directories have, other files do not get.
    pub fn apply(&self, flags: u32, is_dir: bool) -> u32 {
        // Synchronous directory updates.
        let only_dirs = if is_dir { 0 } else { 0x0001_0000 };
        let settable = FLAGS.iter().filter(|(.., fixed)| !fixed);
        let settable = settable.fold(0, |all, (_, bit, ..)| all | bit);
        let new = match self.exactly {
            Some(exactly) => flags & !settable | exactly,
            None => flags & !self.remove | self.add,
        };
        new & !only_dirs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes() {
        let change = |text: &str| FlagChange::parse(text).unwrap();
        assert_eq!(change("+iA").apply(0x80000, false), 0x80090);
        assert_eq!(change("-i+a").apply(0x80010, false), 0x80020);
        // What cannot be changed stays.
        assert_eq!(change("=e").apply(0x1010, true), 0x8_1000);
        assert_eq!(change("+D").apply(0, false), 0);
        for text in ["", "i", "+q", "+I", "=i+a", "+i-i"] {
            assert!(FlagChange::parse(text).is_err(), "{text}");
        }
        assert_eq!(short(0x80010), "----i---------e-------");
        assert_eq!(long(0x80010), "Immutable, Extents");
        assert_eq!(long(0), "---");
    }
}
