//! Whom a TLS connection trusts: the built-in roots of the web, or those of the user's file. One provider (ring).

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::lease::store::StoreError;

/// For every store; without client certificates, which none of them asks for.
pub fn config(ca_file: Option<&Path>) -> Result<ClientConfig, StoreError> {
    let roots = match ca_file {
        Some(path) => from_file(path)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Unsupported(format!("TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn from_file(path: &Path) -> Result<RootCertStore, StoreError> {
    let wrong = |why: String| StoreError::Unsupported(format!("the caFile {}: {why}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(wrong("no certificate in it (PEM is expected)".into())),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_an_error_that_names_it() {
        for path in ["/nonexistent/roots.pem", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
            let told = format!("{:?}", config(Some(Path::new(path))));
            assert!(told.contains("Unsupported") && told.contains(path), "{told}");
        }
        assert!(config(None).is_ok());
    }
}
