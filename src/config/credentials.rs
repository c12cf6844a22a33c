//! Where secrets are kept: the token, and the credentials for a token endpoint. A secret is never an argument, never in
//! the ledger, and never printed.
//!
//! Each secret is kept in the environment, in a file, or by a program. [`Names`] lists the settings that say where, and
//! only [`Names::source`] reads them.

use super::secret_files::{not_a_credential, secret_path, warning};
use super::setting::variable;
use super::trust::Trust;
use super::values::Values;
use super::{ConfigError, Origin};
use crate::http::{
    ClientAuth, ClientCertificate, OAuth2, SecretKind, SecretSource, SecretString, Token,
};
use std::time::{SystemTime, UNIX_EPOCH};

/// The settings that say where one secret is kept.
struct Names {
    /// What the secret is.
    kind: SecretKind,
    /// Names the environment variable that holds it; empty: none does.
    variable: &'static str,
    /// Names the file that holds it.
    file: &'static str,
    /// Names the program that prints it.
    command: &'static str,
}

const CLIENT_SECRET: Names = Names {
    kind: SecretKind::ClientSecret,
    variable: "client_secret_env",
    file: "client_secret_file",
    command: "client_secret_command",
};
const BASIC_HEADER: Names = Names {
    kind: SecretKind::BasicHeader,
    variable: "basic_header_env",
    file: "basic_header_file",
    command: "basic_header_command",
};
const TOKEN: Names = Names {
    kind: SecretKind::Token,
    variable: "",
    file: "token_file",
    command: "token_command",
};
const LEDGER_PASSWORD: Names = Names {
    kind: SecretKind::Password,
    variable: "",
    file: "ledger_password_file",
    command: "ledger_password_command",
};

impl Names {
    /// Returns where these settings keep the secret, with warnings about its file; `None`: none of them is set. `get`
    /// returns the value of a setting.
    fn source<'a>(
        &self,
        values: &Values,
        get: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Result<Option<(SecretSource, Vec<String>)>, ConfigError> {
        let get = |name: &'static str| if name.is_empty() { None } else { get(name) };
        if let Some(name) = get(self.variable) {
            let secret = SecretString::from(of_variable(name)?);
            return Ok(Some((SecretSource::Given(secret), Vec::new())));
        }
        if let Some(name) = get(self.file) {
            let path = secret_path(name);
            let warnings = warning(&path).into_iter().collect();
            let missing = if path.exists() {
                ""
            } else {
                not_a_credential(&path)
            };
            let file = SecretSource::File(path);
            file.first(self.kind).map_err(|why| {
                ConfigError::Credentials(format!("{why}{missing}; {} names it", self.file))
            })?;
            return Ok(Some((file, warnings)));
        }
        let Some(words) = get(self.command) else {
            return Ok(None);
        };
        trusted(values, self.command)?;
        let words = words.split('\n').map(str::to_owned).collect();
        Ok(Some((SecretSource::Command(words), Vec::new())))
    }

    /// Returns those of the secret's settings that are set.
    fn set<'a>(
        &'a self,
        is_set: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'static str> + 'a {
        let names = [self.variable, self.file, self.command].into_iter();
        names.filter(move |name| is_set(name))
    }
}

/// Returns the token's source: the environment, a file, a program or a token endpoint, in this order; `None`: there is none.
pub(super) fn token(values: &mut Values) -> Result<Option<Token>, ConfigError> {
    if let Some(token) = variable("IDSHIFT_TOKEN") {
        return Ok(Some(Token::given(token)));
    }
    match TOKEN.source(values, |name| values.get(name))? {
        Some((kept, warnings)) => {
            values.warnings.extend(warnings);
            Ok(Some(Token::Kept(kept)))
        }
        None => oauth2(values),
    }
}

/// Returns where the password of the ledger's role is kept: the environment, a file or a program; `None`: none is set.
pub(super) fn ledger_password(values: &mut Values) -> Result<Option<SecretSource>, ConfigError> {
    if let Some(password) = variable("IDSHIFT_LEDGER_PASSWORD") {
        return Ok(Some(SecretSource::Given(SecretString::from(password))));
    }
    let Some((source, warnings)) = LEDGER_PASSWORD.source(values, |name| values.get(name))? else {
        return Ok(None);
    };
    values.warnings.extend(warnings);
    Ok(Some(source))
}

/// Refuses a setting that runs a program, or writes or removes files, if it comes from a file that was found in the
/// working folder and that another user owns or may write.
pub(super) fn trusted(values: &Values, name: &'static str) -> Result<(), ConfigError> {
    // A name outside the table of settings is a key of the profile's oauth2 table.
    let from_file = super::setting(name).is_none()
        || matches!(values.origin(name), Origin::Profile(_) | Origin::File);
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
        "{path} has {name} but {why}, so it is not used; {help}name the file with --config {path}"
    )))
}

/// Returns in words where the token comes from; `None`: from nowhere. Does not read the token.
pub fn token_source(values: &Values) -> Option<String> {
    if variable("IDSHIFT_TOKEN").is_some() {
        return Some("IDSHIFT_TOKEN".to_owned());
    }
    for name in [TOKEN.file, TOKEN.command] {
        if values.get(name).is_some() {
            return Some(format!("{name}, {}", values.origin(name)));
        }
    }
    let table = values.profile.oauth2.as_ref()?;
    let profile = values.profile_name.as_deref().unwrap_or_default();
    let is_set = |name: &str| table.contains_key(name);
    let secret = BASIC_HEADER.set(is_set).chain(CLIENT_SECRET.set(is_set));
    let secret: Vec<_> = secret.collect();
    let secret = if secret.is_empty() {
        String::new()
    } else {
        format!(" with {}", secret.join(" and "))
    };
    Some(format!("oauth2{secret}, profile {profile}"))
}

fn oauth2(values: &mut Values) -> Result<Option<Token>, ConfigError> {
    let Some(table) = values.profile.oauth2.clone() else {
        return Ok(None);
    };
    let get = |name: &str| table.get(name).map(String::as_str);
    let need = |name: &'static str| {
        let value = get(name).ok_or(ConfigError::Missing {
            what: name,
            help: "add it to the profile's oauth2 table",
        });
        value.map(str::to_owned)
    };
    one_secret(&|name| get(name).is_some())?;
    let basic_header = BASIC_HEADER.source(values, get)?;
    let client_auth = client_auth(values, get("client_auth"))?;
    let (client_auth, found) = match (basic_header, client_auth) {
        (Some(_), Some(Auth::Form)) => {
            return Err(ConfigError::Credentials(
                "client_auth = \"form\" sends the client's ID and secret as fields, but the oauth2 table names a Basic \
                 header, which holds both already; remove client_auth, or set client_id and client_secret_file"
                    .to_owned(),
            ));
        }
        (Some(found), _) => (ClientAuth::Header, Some(found)),
        (None, auth) => {
            let found = CLIENT_SECRET.source(values, get)?;
            let client_id = || need("client_id");
            let auth = match auth {
                Some(Auth::Basic) => ClientAuth::Basic {
                    client_id: client_id()?,
                },
                Some(Auth::Form) | None => ClientAuth::Form {
                    client_id: client_id()?,
                },
            };
            (auth, found)
        }
    };
    let (secret, warnings) = found.ok_or(ConfigError::Missing {
        what: "the client's secret",
        help: "set client_secret_file, client_secret_command or client_secret_env in the profile's oauth2 table, or \
               one of basic_header_file, basic_header_command and basic_header_env",
    })?;
    values.warnings.extend(warnings);
    let extra = values.profile.oauth2_extra.iter();
    let mut extra: Vec<(String, String)> = extra
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    extra.extend(get("audience").map(|audience| ("audience".to_owned(), audience.to_owned())));
    Ok(Some(Token::OAuth2(OAuth2 {
        token_url: need("token_url")?,
        client_auth,
        secret,
        scope: get("scope").map(str::to_owned),
        extra,
    })))
}

/// The values of `client_auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auth {
    Basic,
    Form,
}

fn client_auth(values: &Values, text: Option<&str>) -> Result<Option<Auth>, ConfigError> {
    match text {
        None => Ok(None),
        Some("basic") => Ok(Some(Auth::Basic)),
        Some("form") => Ok(Some(Auth::Form)),
        Some(text) => Err(ConfigError::Value {
            key: "client_auth",
            origin: Origin::Profile(values.profile_name.clone().unwrap_or_default()),
            why: format!("`{text}` is not one of basic, form"),
        }),
    }
}

/// Refuses several settings for the client's secret, because it is not known which one is meant.
fn one_secret(is_set: &impl Fn(&str) -> bool) -> Result<(), ConfigError> {
    let set = BASIC_HEADER.set(is_set).chain(CLIENT_SECRET.set(is_set));
    let set: Vec<_> = set.collect();
    if set.len() < 2 {
        return Ok(());
    }
    Err(ConfigError::Credentials(format!(
        "the profile's oauth2 table sets {}, and each of them names the client's secret; keep only one of them",
        set.join(" and ")
    )))
}

/// Returns the integration's key: the setting `api_key`, or the environment variable that `api_key_env` names.
pub(super) fn api_key(values: &Values) -> Result<Option<SecretString>, ConfigError> {
    if let Some(key) = values.get("api_key") {
        return Ok(Some(SecretString::from(key.to_owned())));
    }
    let name = values.get("api_key_env");
    Ok(name.map(of_variable).transpose()?.map(SecretString::from))
}

/// Returns the client certificate, with warnings if others may read the key or the certificate has expired. The files
/// are read again when the client is made, and only then is an error in them reported.
pub(super) fn client_certificate(
    values: &mut Values,
) -> Result<Option<ClientCertificate>, ConfigError> {
    let (certificate, key) = match (values.get("client_cert"), values.get("client_key")) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (secret_path(certificate), secret_path(key)),
        (Some(_), None) => {
            return Err(ConfigError::Missing {
                what: "client_key",
                help: "client_cert is set, but client_key is not: set it to the file of the private key (one file may \
                       hold both)",
            });
        }
        (None, Some(_)) => {
            return Err(ConfigError::Missing {
                what: "client_cert",
                help: "client_key is set, but client_cert is not: set it to the file of the certificate (one file may \
                       hold both)",
            });
        }
    };
    values.warnings.extend(warning(&key));
    let certificate = ClientCertificate { certificate, key };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let until = certificate.validity().map(|validity| validity.until);
    if until.is_ok_and(|until| now.is_ok_and(|now| until < now.as_secs())) {
        values.warnings.push(format!(
            "the client certificate in {} has expired, so servers refuse it; `idshift doctor` says since when",
            certificate.certificate.display()
        ));
    }
    Ok(Some(certificate))
}

fn of_variable(name: &str) -> Result<String, ConfigError> {
    variable(name).ok_or_else(|| {
        ConfigError::Credentials(format!(
            "the environment variable {name}, which the profile names, is not set"
        ))
    })
}
