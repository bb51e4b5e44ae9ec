//! Which definition of hashes belongs to which one of data.

use std::path::PathBuf;

use crate::definition::Definition;
use crate::error::{Error, Result};
use crate::verity::VerityRole;

/// The number of the definition that has the hashes of the data of another one.
pub fn hashes_of(definitions: &[Definition], data: usize) -> Option<usize> {
    let is = |definition: &Definition, key: &str| {
        let verity = definition.verity.as_ref();
        verity.is_some_and(|it| it.role == VerityRole::Hash && it.key == key)
    };
    let verity = definitions.get(data)?.verity.as_ref()?;
    let found = verity.role == VerityRole::Data;
    found.then(|| definitions.iter().position(|it| is(it, &verity.key)))?
}

/// Looks whether there is one definition of data and one of hashes for each key.
pub(crate) fn check_pairs(definitions: &[Definition]) -> Result<()> {
    for definition in definitions {
        let Some(verity) = &definition.verity else {
            continue;
        };
        for (role, name) in [(VerityRole::Data, "data"), (VerityRole::Hash, "hash")] {
            let with_key = definitions.iter().filter_map(|it| it.verity.as_ref());
            let with_key = with_key.filter(|it| it.key == verity.key && it.role == role);
            let count = with_key.count();
            if count != 1 {
                return Err(Error::Setting {
                    file: PathBuf::from(&definition.file),
                    line: 0,
                    reason: format!(
                        "VerityMatchKey={}: {count} definitions have it and Verity={name}; there must be one",
                        verity.key
                    ),
                });
            }
        }
    }
    Ok(())
}
