//! Where the token comes from. A secret is never an argument, never in the ledger, and never printed.

use super::setting::variable;
use super::trust::Trust;
use super::values::Values;
use super::{ConfigError, Origin};
use crate::http::{Credentials, OAuth2, SecretKind, SecretString, Token, secret_file};
use std::path::{Path, PathBuf};

/// The token's source: the environment, a file, a program or a token endpoint, in this order.
pub(super) fn token(values: &mut Values) -> Result<Option<Token>, ConfigError> {
    if let Some(token) = variable("IDSHIFT_TOKEN") {
        return Ok(Some(Token::Fixed(SecretString::from(token))));
    }
    if let Some(path) = values.get("token_file").map(PathBuf::from) {
        warn_if_loose(values, &path);
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
    let path = path.display();
    let (why, help) = match values.file.trust {
        Trust::Full => return Ok(()),
        Trust::Foreign => ("belongs to another user", String::new()),
        Trust::Writable => (
            "may be written by others",
            format!("chmod go-w {path}, or "),
        ),
    };
    Err(ConfigError::Credentials(format!(
        "{path} names a token_command but {why}, so the program is not run; {help}name the file with --config {path}"
    )))
}

/// Where the token comes from, in words; `None`: nowhere. The token itself is not looked at.
pub fn token_source(values: &Values) -> Option<String> {
    if variable("IDSHIFT_TOKEN").is_some() {
        return Some("IDSHIFT_TOKEN".to_owned());
    }
    for name in ["token_file", "token_command"] {
        if values.get(name).is_some() {
            return Some(format!("{name}, {}", values.origin(name)));
        }
    }
    values.profile.oauth2.as_ref()?;
    let profile = values.profile_name.as_deref().unwrap_or_default();
    Some(format!("oauth2, profile {profile}"))
}

fn oauth2(values: &mut Values) -> Result<Option<Token>, ConfigError> {
    let Some(table) = values.profile.oauth2.clone() else {
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
            (None, Some(path)) => {
                warn_if_loose(values, Path::new(&path));
                secret_file(Path::new(&path), SecretKind::ClientSecret).map_err(|why| {
                    ConfigError::Credentials(format!(
                        "{why}; client_secret_file in the profile's oauth2 table names it"
                    ))
                })?
            }
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

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode())
}

fn warn_if_loose(values: &mut Values, path: &Path) {
    if mode(path) & 0o077 != 0 {
        let path = path.display();
        values.warnings.push(format!(
            "others may read the secret in {path}: chmod 600 {path}"
        ));
    }
}
