//! Reads a secret in the forms in which files and variables contain it: with a byte order mark, in UTF-16, in quotes,
//! as `Bearer …`, or inside the JSON answer that delivered it. If the meaning is clear, the secret is accepted;
//! otherwise an error says what was found. Error texts never contain the secret.

use secrecy::{ExposeSecret, SecretString};
use std::io::{self, Read};
use std::path::Path;

/// Maximum length of a token or a secret, in bytes.
pub(super) const LONGEST: u64 = 64 * 1024;

/// The kind of secret, which determines the names under which JSON may contain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// A token that is sent as `Bearer …`.
    Token,
    /// The secret of an OAuth 2.0 client.
    ClientSecret,
    /// The value of a header `Authorization: Basic …`, which contains a client's ID and its secret.
    BasicHeader,
    /// A password.
    Password,
}

impl SecretKind {
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Token => &["access_token", "accessToken", "token", "id_token"],
            Self::ClientSecret => &["client_secret", "clientSecret", "secret"],
            Self::BasicHeader => &["authorization", "Authorization", "basic_header"],
            Self::Password => &["password"],
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::ClientSecret => "client's secret",
            Self::BasicHeader => "Basic header",
            Self::Password => "password",
        }
    }
}

/// Reads the secret from a file.
pub(super) fn secret_file(path: &Path, kind: SecretKind) -> Result<SecretString, String> {
    let what = kind.words();
    let read = || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(LONGEST + 1).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let path = path.display();
    let bytes =
        read().map_err(|error| format!("the {what} file {path} cannot be read: {error}"))?;
    secret_of(&bytes, kind)
        .map_err(|why| format!("the {what} file {path} holds no valid {what}: {why}"))
}

/// Extracts the secret from these bytes.
pub(super) fn secret_of(bytes: &[u8], kind: SecretKind) -> Result<SecretString, String> {
    if bytes.len() as u64 > LONGEST {
        return Err(format!("it is longer than {} KiB", LONGEST / 1024));
    }
    let text = text_of(bytes).ok_or("it is not text in UTF-8 or UTF-16")?;
    let secret = match kind {
        // A password may begin with a quote, a brace or a space.
        SecretKind::Password => text.trim_end_matches(['\r', '\n']).to_owned(),
        _ => plain(text.trim(), kind)?,
    };
    if secret.is_empty() {
        return Err("it is empty".to_owned());
    }
    if secret.contains(['\n', '\r']) {
        return Err("it holds a line break; it must be a single line".to_owned());
    }
    Ok(SecretString::from(secret))
}

/// Extracts the secret from a text that may contain more, as [`secret_of`] does.
pub(super) fn unwrapped(text: &SecretString, kind: SecretKind) -> Result<SecretString, String> {
    secret_of(text.expose_secret().as_bytes(), kind)
}

/// Decodes the text. In UTF-16 without a byte order mark, one of the two bytes of a plain letter is zero.
fn text_of(bytes: &[u8]) -> Option<String> {
    let encoding = match encoding_rs::Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None if bytes.len() >= 2 && bytes[1] == 0 => encoding_rs::UTF_16LE,
        None if bytes.len() >= 2 && bytes[0] == 0 => encoding_rs::UTF_16BE,
        None => encoding_rs::UTF_8,
    };
    let (text, damaged) = encoding.decode_with_bom_removal(bytes);
    (!damaged).then(|| text.into_owned())
}

fn plain(text: &str, kind: SecretKind) -> Result<String, String> {
    if text.starts_with('{') {
        return in_json(text, kind);
    }
    let text = unquoted(text);
    let text = after_word(text, "authorization:").map_or(text, unquoted);
    match (kind, after_word(text, "bearer"), after_word(text, "basic")) {
        (SecretKind::Token, Some(secret), _) | (SecretKind::BasicHeader, None, Some(secret)) => {
            Ok(unquoted(secret).to_owned())
        }
        (SecretKind::Token, None, Some(_)) => Err(format!(
            "it is `Basic …`, which is for the token endpoint: {NAME_THE_HEADER}"
        )),
        (SecretKind::ClientSecret, None, Some(_)) => Err(format!(
            "it is `Basic …`, which holds the client's ID too: {NAME_THE_HEADER}"
        )),
        (SecretKind::ClientSecret | SecretKind::BasicHeader, Some(_), _) => {
            Err("it is `Bearer …`, which is a token".to_owned())
        }
        (SecretKind::Password, _, _) | (_, None, None) => Ok(text.to_owned()),
    }
}

const NAME_THE_HEADER: &str =
    "name it with basic_header_file, basic_header_command or basic_header_env";

fn in_json(text: &str, kind: SecretKind) -> Result<String, String> {
    let names = kind.names();
    let wanted = || format!("it is JSON, without a text named `{}`", names.join("`, `"));
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|_| "it begins like JSON but is not valid JSON".to_owned())?;
    let found = names.iter().find_map(|name| value.get(name)?.as_str());
    plain_text(found.ok_or_else(wanted)?, kind)
}

/// Reads a text from JSON, which must not be JSON again.
fn plain_text(text: &str, kind: SecretKind) -> Result<String, String> {
    match text.trim() {
        json if json.starts_with('{') => Err("it is JSON within JSON".to_owned()),
        text => plain(text, kind),
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let pairs = [
        ('"', '"'),
        ('\'', '\''),
        ('`', '`'),
        ('“', '”'),
        ('„', '“'),
        ('‘', '’'),
        ('«', '»'),
    ];
    let inner = pairs.iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(*open)?.strip_suffix(*close)?;
        (!inner.is_empty()).then_some(inner)
    });
    inner.map_or(text, str::trim)
}

/// Returns what follows this word, which must be followed by white space or end in a colon.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let start = text.get(..word.len())?;
    let rest = &text[word.len()..];
    let ends = word.ends_with(':') || rest.starts_with(char::is_whitespace);
    (start.eq_ignore_ascii_case(word) && ends).then(|| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], kind: SecretKind) -> Result<String, String> {
        secret_of(bytes, kind).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn token_is_read_from_any_common_text_format() {
        let utf16 = |bytes: fn(u16) -> [u8; 2], mark: bool| -> Vec<u8> {
            let text = if mark {
                "\u{feff}tok-1\r\n"
            } else {
                "tok-1\r\n"
            };
            text.encode_utf16().flat_map(bytes).collect()
        };
        let kept: Vec<Vec<u8>> = [
            "tok-1",
            " tok-1\n",
            "\u{feff}tok-1",
            "\"tok-1\"\n",
            "'tok-1'",
            "“tok-1”",
            "Bearer tok-1",
            "bearer   tok-1\n",
            "\"Bearer tok-1\"",
            "Authorization: Bearer tok-1",
            r#"{"access_token": "tok-1", "expires_in": 600}"#,
            "\u{feff}{\"token\":\"Bearer tok-1\"}",
        ]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .chain([
            utf16(u16::to_le_bytes, true),
            utf16(u16::to_be_bytes, true),
            utf16(u16::to_le_bytes, false),
            utf16(u16::to_be_bytes, false),
        ])
        .collect();
        for bytes in kept {
            let token = read(&bytes, SecretKind::Token);
            assert_eq!(
                token.as_deref(),
                Ok("tok-1"),
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }

    #[test]
    fn password_is_read_unchanged_except_for_the_line_end() {
        for text in ["\"quoted\"", "{brace", " space ", "Bearer x", "Basic x"] {
            let read = read(format!("{text}\r\n").as_bytes(), SecretKind::Password);
            assert_eq!(read.as_deref(), Ok(text));
        }
        let why = read(b"one\ntwo\n", SecretKind::Password).unwrap_err();
        assert!(why.contains("line break"), "{why}");
    }

    #[test]
    fn invalid_secret_is_reported_without_its_value() {
        for (bytes, kind, words) in [
            (&b""[..], SecretKind::Token, "empty"),
            (b"\"\"", SecretKind::Token, "\"\""),
            (b"tok-1\ntok-2", SecretKind::Token, "line break"),
            (b"\xff\xfe\x00\xd8", SecretKind::Token, "not text"),
            (b"\x80tok-1", SecretKind::Token, "not text"),
            (b"{\"tok-1\": 1}", SecretKind::Token, "`access_token`"),
            (b"{tok-1", SecretKind::Token, "begins like JSON"),
            (b"Basic tok-1", SecretKind::Token, "basic_header_env"),
            (
                b"Bearer tok-1",
                SecretKind::ClientSecret,
                "which is a token",
            ),
            (
                b"{\"access_token\": \"tok-1\"}",
                SecretKind::ClientSecret,
                "`client_secret`",
            ),
        ] {
            match read(bytes, kind) {
                Err(why) => assert!(why.contains(words) && !why.contains("tok-1"), "{why}"),
                // Two quotes alone are refused when they are sent.
                Ok(text) => assert_eq!(text, words),
            }
        }
        let secret = read(b"{\"client_secret\":\"s+/=\"}", SecretKind::ClientSecret);
        assert_eq!(secret.as_deref(), Ok("s+/="));
    }
}
