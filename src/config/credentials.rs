//! Where the token comes from. A secret is never an argument, never in the ledger, and never printed.

use super::values::{Values, variable};
use super::{ConfigError, Origin};
use crate::http::{Credentials, OAuth2, SecretString, Token};
use std::path::{Path, PathBuf};

/// The token's source: the environment, a file, a program or a token endpoint, in this order.
pub(super) fn token(values: &mut Values) -> Result<Option<Token>, ConfigError> {
    if let Some(token) = variable("IDSHIFT_TOKEN") {
        return Ok(Some(Token::Fixed(SecretString::from(token))));
    }
    if let Some(path) = values.get("token_file").map(PathBuf::from) {
        if is_loose(&path) {
            let path = path.display();
            values.warnings.push(format!(
                "others may read the token file {path}: chmod 600 {path}"
            ));
        }
        return Ok(Some(Token::File(path)));
    }
    if let Some(words) = values.get("token_command") {
        let words: Vec<String> = words.split('\n').map(str::to_owned).collect();
        trusted_command(values)?;
        return Ok(Some(Token::Command(words)));
    }
    oauth2(values)
}

/// A program named by a file that lies around in the working folder runs only if the file is the user's own.
fn trusted_command(values: &Values) -> Result<(), ConfigError> {
    let from_file = matches!(
        values.origin("token_command"),
        Origin::Profile(_) | Origin::File
    );
    let Some(path) = values.file.path.as_ref().filter(|_| from_file) else {
        return Ok(());
    };
    if path.as_path() != Path::new("idshift.toml") || !others_may_write(path) {
        return Ok(());
    }
    Err(ConfigError::Credentials(format!(
        "{} names a token_command, but others may write to the file, so it is not run; chmod go-w {}, or name it with --config",
        path.display(),
        path.display()
    )))
}

fn oauth2(values: &Values) -> Result<Option<Token>, ConfigError> {
    let Some(table) = &values.profile.oauth2 else {
        return Ok(None);
    };
    let get = |name: &str| table.get(name).cloned();
    let need = |name: &'static str| {
        get(name).ok_or(ConfigError::Missing {
            what: name,
            help: "add it to the profile's oauth2 table",
        })
    };
    let from_variable = |name: String| {
        variable(&name).map(SecretString::from).ok_or_else(|| {
            ConfigError::Credentials(format!(
                "the environment variable {name}, which the profile names, is not set"
            ))
        })
    };
    let credentials = if let Some(name) = get("basic_header_env") {
        Credentials::Header(from_variable(name)?)
    } else {
        let secret = match (get("client_secret_env"), get("client_secret_file")) {
            (Some(name), _) => from_variable(name)?,
            (None, Some(path)) => secret_file(Path::new(&path))?,
            (None, None) => {
                return Err(ConfigError::Missing {
                    what: "the client's secret",
                    help: "set client_secret_env, client_secret_file or basic_header_env in the profile's oauth2 table",
                });
            }
        };
        Credentials::Form {
            client_id: need("client_id")?,
            secret,
        }
    };
    let mut extra: Vec<(String, String)> = values
        .profile
        .oauth2_extra
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    extra.extend(get("audience").map(|audience| ("audience".to_owned(), audience)));
    Ok(Some(Token::OAuth2(OAuth2 {
        token_url: need("token_url")?,
        credentials,
        scope: get("scope"),
        extra,
    })))
}

fn secret_file(path: &Path) -> Result<SecretString, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(SecretString::from(text.trim().to_owned()))
}

/// The integration's key: said, or in the variable that is named.
pub(super) fn api_key(values: &Values) -> Result<Option<SecretString>, ConfigError> {
    if let Some(key) = values.get("api_key") {
        return Ok(Some(SecretString::from(key.to_owned())));
    }
    let Some(name) = values.get("api_key_env") else {
        return Ok(None);
    };
    let key = variable(name).ok_or_else(|| {
        ConfigError::Credentials(format!(
            "the environment variable {name}, which should hold the API key, is not set"
        ))
    })?;
    Ok(Some(SecretString::from(key)))
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_path: &Path) -> u32 {
    0
}

fn is_loose(path: &Path) -> bool {
    mode(path) & 0o077 != 0
}

fn others_may_write(path: &Path) -> bool {
    mode(path) & 0o022 != 0
}
