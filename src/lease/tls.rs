//! TLS for every store: one provider (ring), and the roots that come with it or those of a file.

use crate::lease::store::StoreError;
use crate::sync::Arc;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;

/// What a client trusts: the PEM file's roots, or else Mozilla's as they were built in.
pub fn config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, StoreError> {
    let roots = match ca_file {
        Some(path) => roots_of(path)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Unsupported(format!("TLS: {error}")))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn roots_of(path: &Path) -> Result<RootCertStore, StoreError> {
    let unusable = |why: String| StoreError::Unsupported(format!("the CA file {}: {why}", path.display()));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(unusable("there is no certificate in it".into())),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_roots_make_a_config() {
        assert!(config(None).is_ok());
    }

    #[test]
    fn an_unusable_file_is_named() {
        for path in ["/nowhere/ca.pem", "/dev/null"] {
            match config(Some(Path::new(path))) {
                Err(StoreError::Unsupported(why)) => assert!(why.contains(path), "{why}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
