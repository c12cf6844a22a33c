//! Edits `idshift.toml`. All other content (values, comments, order, line breaks) stays as it is.

use super::ConfigError;
use super::file::{File, contents};
use super::trust::Trust;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, Table, TableLike, TomlError, value};

/// What was saved.
#[derive(Debug)]
pub struct SavedMap {
    /// The file.
    pub path: PathBuf,
    /// Whether the file is new.
    pub is_new: bool,
    /// The columns that were removed from the profile, with their former names in files.
    pub removed: Vec<(String, String)>,
}

/// Saves in a profile what the columns are called in files. A column that the profile names already and that is not in
/// `columns` is removed if `stale` returns `true` for it and its name.
pub fn save_map(
    config: Option<PathBuf>,
    profile: &str,
    columns: &[(&'static str, String)],
    stale: impl Fn(&str, &str) -> bool,
) -> Result<SavedMap, ConfigError> {
    let path = File::to_change(config);
    let (text, is_new) = match contents(&path) {
        Ok((text, _)) => (text, false),
        Err(why) if why.kind() == ErrorKind::NotFound => (String::new(), true),
        Err(source) => {
            let help = "name another file with --config";
            return Err(ConfigError::Read { path, source, help });
        }
    };
    // An invalid file is not changed; its error is returned.
    File::understand(path.clone(), &text, Trust::Full)?;
    let (text, removed) = edited(&path, &text, profile, columns, stale)?;
    File::understand(path.clone(), &text, Trust::Full)?;
    replace(&path, &text).map_err(|source| ConfigError::Write {
        path: path.clone(),
        source,
        help: "make it writable, or name another file with --config",
    })?;
    Ok(SavedMap {
        path,
        is_new,
        removed,
    })
}

fn edited(
    path: &Path,
    text: &str,
    profile: &str,
    columns: &[(&'static str, String)],
    stale: impl Fn(&str, &str) -> bool,
) -> Result<(String, Vec<(String, String)>), ConfigError> {
    let mut document: DocumentMut = text.parse().map_err(|why: TomlError| ConfigError::Syntax {
        path: path.to_owned(),
        what: why.to_string().trim_end().to_owned(),
    })?;
    let no_table = |key: &'static str| ConfigError::NoTable {
        path: path.to_owned(),
        key,
        profile: profile.to_owned(),
    };
    let profiles = table(document.as_table_mut(), "profiles", true);
    let profiles = profiles.ok_or_else(|| no_table("profiles"))?;
    let one = table(profiles, profile, true).ok_or_else(|| no_table("the profile"))?;
    let map = table(one, "map", false).ok_or_else(|| no_table("map"))?;
    let named = |(column, name): (&str, &Item)| {
        let name = name.as_str().unwrap_or_default().to_owned();
        (column.to_owned(), name)
    };
    let before: Vec<(String, String)> = map.iter().map(named).collect();
    let mut removed = Vec::new();
    for (column, name) in before {
        let is_named = columns.iter().any(|(known, _)| *known == column);
        if !is_named && stale(&column, &name) {
            map.remove(&column);
            removed.push((column, name));
        }
    }
    for (column, name) in columns {
        match map.get_mut(column) {
            // Keeps the comment after the value.
            Some(Item::Value(old)) => {
                let decor = old.decor().clone();
                *old = name.as_str().into();
                *old.decor_mut() = decor;
            }
            Some(_) | None => {
                map.insert(column, value(name.as_str()));
            }
        }
    }
    let mut new = document.to_string();
    if text.contains("\r\n") {
        new = new.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    Ok((new, removed))
}

/// Returns the table with this name, and adds it if it is missing; `None`: it is no table. `implicit`: a new table has
/// no header line of its own.
fn table<'t>(
    parent: &'t mut dyn TableLike,
    name: &str,
    implicit: bool,
) -> Option<&'t mut dyn TableLike> {
    if !parent.contains_key(name) {
        let mut new = Table::new();
        new.set_implicit(implicit);
        parent.insert(name, Item::Table(new));
    }
    parent.get_mut(name)?.as_table_like_mut()
}

/// Replaces the content of a file, as a whole or not at all. A link stays a link, and the file's permissions stay.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = match path.canonicalize() {
        Ok(real) => real,
        Err(why) if why.kind() == ErrorKind::NotFound => path.to_owned(),
        Err(why) => return Err(why),
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    if let Ok(meta) = std::fs::metadata(&path) {
        new.as_file().set_permissions(meta.permissions())?;
    }
    new.as_file().sync_all()?;
    new.persist(&path).map_err(|failed| failed.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, columns: &[(&'static str, &str)]) -> String {
        let columns: Vec<_> = columns.iter().map(|(c, n)| (*c, (*n).to_owned())).collect();
        let path = Path::new("idshift.toml");
        let (text, _) = edited(path, text, "night", &columns, |_, _| true).unwrap();
        File::understand(path.to_owned(), &text, Trust::Full).unwrap();
        text
    }

    #[test]
    fn edit_keeps_existing_content_and_comments() {
        let text = "# ours\ntimeout = '1m' # long\n\n[profiles.night] # nightly\nsystem = \"plume\"\n\n[profiles.other]\n";
        let new = after(text, &[("accountId", "Account Number")]);
        assert!(new.starts_with("# ours\ntimeout = '1m' # long\n"), "{new}");
        assert!(
            new.contains("[profiles.night] # nightly\nsystem = \"plume\"\n"),
            "{new}"
        );
        assert!(
            new.contains("[profiles.night.map]\naccountId = \"Account Number\"\n"),
            "{new}"
        );
        assert!(new.contains("[profiles.other]\n"), "{new}");
    }

    #[test]
    fn empty_file_gets_only_the_new_table() {
        assert_eq!(
            after("", &[("accountId", "a \"b\" ü"), ("newAccountId", "N")]),
            "[profiles.night.map]\naccountId = 'a \"b\" ü'\nnewAccountId = \"N\"\n"
        );
    }

    #[test]
    fn existing_mapping_of_the_profile_is_replaced_in_place() {
        let text = "[profiles.night.map]\naccountId = \"Old\" # key\nserviceId = \"Gone\"\n";
        assert_eq!(
            after(text, &[("accountId", "New"), ("newAccountId", "N")]),
            "[profiles.night.map]\naccountId = \"New\" # key\nnewAccountId = \"N\"\n"
        );
        let inline = "profiles.night = { system = \"plume\", map = { accountId = \"A\" } } # one\n";
        let new = after(inline, &[("accountId", "B")]);
        assert!(
            new.contains("accountId = \"B\"") && new.ends_with("# one\n"),
            "{new}"
        );
        let dotted = "[profiles]\nnight.map.accountId = \"A\" # it\n";
        let new = after(dotted, &[("accountId", "B")]);
        assert_eq!(new, "[profiles]\nnight.map.accountId = \"B\" # it\n");
        let dos = "timeout = \"1m\"\r\n";
        let new = after(dos, &[("accountId", "B")]);
        assert_eq!(
            new.matches('\n').count(),
            new.matches("\r\n").count(),
            "{new:?}"
        );
    }
}
