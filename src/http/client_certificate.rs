//! The certificate with which this client identifies itself to servers (mTLS). It is read from PEM files and checked,
//! so that errors are reported precisely before the first call; servers say only that they refuse it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::settings::{ClientCertificate, SetupError};
use crate::regular_file;

/// The end of the year 9999, after which no certificate is valid.
const END_OF_TIME: u64 = 253_402_300_800;

/// The period in which a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second; 0: valid since any time.
    pub from: u64,
    /// The last second; `u64::MAX`: no end.
    pub until: u64,
}

impl ClientCertificate {
    /// Reads and checks certificate and key, and returns the validity of the certificate.
    pub fn validity(&self) -> Result<Validity, SetupError> {
        let (certificates, _) = self.read()?;
        let wrong = |why: String| self.wrong(&self.certificate, why);
        let first = certificates.first().ok_or_else(|| wrong(NONE.to_owned()))?;
        // Only the dates are of interest; the verifier checks them before the issuer.
        let mut roots = RootCertStore::empty();
        let unreadable = |error: &dyn std::fmt::Display| {
            wrong(format!("its first certificate cannot be read: {error}"))
        };
        roots
            .add(first.clone())
            .map_err(|error| unreadable(&error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().map_err(|error| unreadable(&error))?;
        let refusal = |seconds: u64| {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            match verifier.verify_client_cert(first, &[], at) {
                Err(rustls::Error::InvalidCertificate(error)) => Some(error),
                _ => None,
            }
        };
        let from = match refusal(0) {
            Some(CertificateError::NotValidYetContext { not_before, .. }) => not_before.as_secs(),
            _ => 0,
        };
        let until = match refusal(END_OF_TIME) {
            Some(CertificateError::ExpiredContext { not_after, .. }) => not_after.as_secs(),
            _ => u64::MAX,
        };
        Ok(Validity { from, until })
    }

    /// Returns the identity that the HTTP client presents.
    pub(super) fn identity(&self) -> Result<reqwest::Identity, SetupError> {
        let (certificates, key) = self.read()?;
        // The PEM text is built anew, because each of the two files may contain what belongs in the other.
        let mut pem = String::new();
        let mut add = |label: &str, der: &[u8]| {
            let text = BASE64_STANDARD.encode(der);
            pem.push_str(&format!(
                "-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"
            ));
        };
        for certificate in &certificates {
            add("CERTIFICATE", certificate);
        }
        let label = match &key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        add(label, key.secret_der());
        reqwest::Identity::from_pem(pem.as_bytes())
            .map_err(|_| self.wrong(&self.certificate, "it cannot be used".to_owned()))
    }

    fn wrong(&self, path: &Path, why: String) -> SetupError {
        SetupError::ClientCertificate {
            what: if path == self.key {
                "private key of the client certificate"
            } else {
                "client certificate"
            },
            path: path.to_owned(),
            why,
        }
    }

    /// Reads the certificates and the key, which must belong to the first certificate.
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SetupError> {
        let bytes = |path: &Path| {
            regular_file::read(path)
                .map_err(|error| self.wrong(path, format!("it cannot be read: {error}")))
        };
        let of_certificate = |why: String| self.wrong(&self.certificate, why);
        let certificates = certificates(&bytes(&self.certificate)?).map_err(of_certificate)?;
        let of_key = |why: String| self.wrong(&self.key, why);
        let key = private_key(&bytes(&self.key)?).map_err(of_key)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let signing = provider.key_provider.load_private_key(key.clone_key());
        let signing = signing.map_err(|_| {
            of_key(
                "its kind of key is not supported; RSA from 2048 bits on, ECDSA (P-256, P-384, P-521) and Ed25519 are"
                    .to_owned(),
            )
        })?;
        let matches = |certificate: &CertificateDer<'static>| {
            CertifiedKey::new(vec![certificate.clone()], Arc::clone(&signing)).keys_match()
        };
        let first = certificates.first().map(matches);
        match first {
            None => Err(of_certificate(NONE.to_owned())),
            Some(Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch))) => {
                let later = certificates.iter().position(|one| matches(one).is_ok());
                Err(of_key(match later {
                    Some(at) => format!(
                        "it belongs to certificate {} in {}; the client's own certificate must be the first there",
                        at + 1,
                        self.certificate.display()
                    ),
                    None => format!(
                        "it does not belong to the certificate in {}; name the private key of that certificate",
                        self.certificate.display()
                    ),
                }))
            }
            Some(Err(rustls::Error::InvalidCertificate(error))) => Err(of_certificate(format!(
                "its first certificate cannot be read: {error}"
            ))),
            Some(_) => Ok((certificates, key)),
        }
    }
}

const NONE: &str = "it holds no certificate in PEM (BEGIN CERTIFICATE)";

fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) if holds(bytes, "PRIVATE KEY-----") => Err(
            "it holds a private key and no certificate; client_cert names the certificate, client_key the key"
                .to_owned(),
        ),
        Ok(_) if is_binary(bytes) => Err(binary("x509")),
        Ok(_) => Err(NONE.to_owned()),
        Err(error) => Err(format!("its PEM is damaged: {error}")),
    }
}

fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    if holds(bytes, "BEGIN ENCRYPTED PRIVATE KEY") || holds(bytes, "Proc-Type: 4,ENCRYPTED") {
        return Err(
            "it is encrypted, and no passphrase is asked for; write it without one (`openssl pkey -in KEY -out NEW`, mode \
             0600)"
                .to_owned(),
        );
    }
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        _ if holds(bytes, "BEGIN CERTIFICATE") => {
            "it holds a certificate and no private key; client_cert names the certificate, client_key the key"
                .to_owned()
        }
        rustls::pki_types::pem::Error::NoItemsFound if is_binary(bytes) => binary("pkey"),
        rustls::pki_types::pem::Error::NoItemsFound => {
            "it holds no private key in PEM (BEGIN PRIVATE KEY)".to_owned()
        }
        error => format!("its PEM is damaged: {error}"),
    })
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// Returns whether the file is DER or PKCS#12; both begin with a sequence.
fn is_binary(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30)
}

fn binary(command: &str) -> String {
    format!(
        "it is not PEM but DER or PKCS#12; convert it with `openssl {command} -inform der` or `openssl pkcs12 -nodes`"
    )
}
