//! Tests of merging and checking fragments.

use super::*;

fn parsed(fragments: &[(&str, &str)]) -> Result<Requests> {
    let mut all = Requests::new();
    for (name, text) in fragments {
        parse(text, Path::new(name), &mut all)?;
    }
    Ok(all)
}

#[test]
fn fragments_add_up() {
    let all = parsed(&[
        (
            "base",
            "# why\nCONFIG_NET=y\n\n# CONFIG_MODULES is not set\n",
        ),
        ("net", "CONFIG_NET=y\nCONFIG_NR=8\nCONFIG_LINE=\"a b\"\n"),
    ])
    .unwrap();
    let values: Vec<_> = all
        .iter()
        .map(|(name, request)| (&name[7..], &*request.value))
        .collect();
    assert_eq!(
        values,
        [
            ("LINE", "\"a b\""),
            ("MODULES", "n"),
            ("NET", "y"),
            ("NR", "8")
        ]
    );
}

#[test]
fn contradictions_name_both_fragments() {
    let both = [("a", "CONFIG_NET=y"), ("b", "# CONFIG_NET is not set")];
    let message = parsed(&both).unwrap_err().to_string();
    assert_eq!(message, "CONFIG_NET is y in a and n in b; keep one");
}

#[test]
fn nonsense_names_file_and_line() {
    let message = parsed(&[("a", "CONFIG_NET=y\nNET=y\n")])
        .unwrap_err()
        .to_string();
    assert_eq!(message, "a:2: not a configuration line: NET=y");
}

#[test]
fn what_kconfig_dropped_is_found() {
    let requests = parsed(&[(
        "a",
        "CONFIG_KEPT=y\nCONFIG_GONE=y\nCONFIG_NR=8\n\
         # CONFIG_OFF is not set\n# CONFIG_FORCED is not set\n# CONFIG_TYPO is not set\n",
    )])
    .unwrap();
    let config = "CONFIG_KEPT=y\n# CONFIG_GONE is not set\nCONFIG_NR=4\nCONFIG_FORCED=y\n";
    let unknown = unknown_symbol("drupe.config:3:warning: unknown symbol: TYPO");
    assert_eq!(
        lost(&requests, config, &[unknown.unwrap()]),
        [
            "CONFIG_FORCED=n (a)",
            "CONFIG_GONE=y (a)",
            "CONFIG_NR=8 (a)",
            "CONFIG_TYPO=n (a)"
        ]
    );
}

#[test]
fn what_is_no_longer_defined_is_found() {
    let old = "CONFIG_KEPT=y\nCONFIG_GONE=y\nCONFIG_OFF=y\n";
    let new = "CONFIG_KEPT=y\n# CONFIG_OFF is not set\nCONFIG_NEW=y\n";
    assert_eq!(vanished(old, new), ["CONFIG_GONE"]);
}
