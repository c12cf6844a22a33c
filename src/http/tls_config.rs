//! How the certificates of servers other than the API's are verified: with the operating system's certificates and
//! those of the file that the profile names. As for calls, no setting disables the verification.

use super::settings::SetupError;
use crate::regular_file;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use std::path::Path;
use std::sync::Arc;

/// Returns the configuration for connections whose server must show a certificate for the host name of the connection.
pub fn tls_config(ca_cert: Option<&Path>) -> Result<ClientConfig, SetupError> {
    let extra = ca_cert.map(authorities).transpose()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let wrong = |error: rustls::Error| SetupError::Tls(format!("the ledger: {error}"));
    let verifier = Verifier::new_with_extra_roots(extra.unwrap_or_default(), Arc::clone(&provider))
        .map_err(wrong)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// Reads the certificates of a PEM file.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let wrong = |why: String| SetupError::Certificates {
        path: path.to_owned(),
        why,
    };
    let pem = regular_file::read(path).map_err(|error| wrong(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(wrong("no certificate in it".to_owned())),
        Ok(found) => Ok(found),
        Err(_) => Err(wrong("not PEM certificates".to_owned())),
    }
}
