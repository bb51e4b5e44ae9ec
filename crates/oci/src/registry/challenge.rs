//! [`Challenge`]: what a server asks for in `WWW-Authenticate` (RFC 9110, 11.6.1).

/// A way to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// In lower case: `basic`, `bearer`.
    pub(crate) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter, by its name in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Parses a header, which may have several.
    pub(crate) fn parse(header: &str) -> Vec<Challenge> {
        let mut challenges: Vec<Challenge> = Vec::new();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if word.is_empty() {
                return challenges;
            }
            let word = word.to_ascii_lowercase();
            let value = after.trim_start_matches([' ', '\t']).strip_prefix('=');
            match (value, challenges.last_mut()) {
                (Some(value), Some(challenge)) => {
                    let (value, after) = parse_value(value.trim_start_matches([' ', '\t']));
                    challenge.parameters.push((word, value));
                    rest = after;
                }
                (Some(_), None) => return challenges,
                (None, _) => {
                    challenges.push(Challenge {
                        scheme: word,
                        parameters: Vec::new(),
                    });
                    rest = after;
                }
            }
        }
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c)
}

/// A word or a quoted string, and what follows.
fn parse_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_ask_for() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io", scope="repository:a/b:pull,push""#;
        let parsed = Challenge::parse(header);
        assert_eq!(parsed.len(), 1);
        assert_eq!(parsed[0].scheme, "bearer");
        assert_eq!(parsed[0].get("realm"), Some("https://auth.docker.io/token"));
        assert_eq!(parsed[0].get("scope"), Some("repository:a/b:pull,push"));
        let two = Challenge::parse(r#"Negotiate, BASIC Realm = "a \"b\", c" , Bearer realm=x"#);
        let schemes: Vec<&str> = two.iter().map(|one| one.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer"]);
        assert_eq!(two[1].get("realm"), Some("a \"b\", c"));
        assert_eq!(two[2].get("realm"), Some("x"));
        assert_eq!(two[2].get("scope"), None);
    }

    #[test]
    fn what_nobody_asks_for() {
        for header in [
            "",
            ",",
            "=",
            "a=b",
            "Basic realm=\"",
            "Basic \"",
            "\u{e4}",
            "Basic =",
        ] {
            Challenge::parse(header);
        }
    }
}
