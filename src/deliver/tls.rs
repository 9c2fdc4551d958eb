//! TLS for outbound connections: the web's roots, plus the operator's own.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Why the TLS set-up failed. The operator's mistake, found at start.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// `egress.extra_ca_file` holds no certificate, or one that is none.
    #[error("the extra CA file does not hold PEM certificates")]
    ExtraCa,
    /// The TLS library refused its own defaults.
    #[error("TLS could not be set up")]
    Library(#[from] rustls::Error),
}

/// A connector that trusts Mozilla's roots and those of `extra_ca_pem`, and offers HTTP/1.1 only.
pub fn connector(extra_ca_pem: Option<&[u8]>) -> Result<TlsConnector, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(pem) = extra_ca_pem {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| TlsSetupError::ExtraCa)?;
            roots.add(certificate).map_err(|_| TlsSetupError::ExtraCa)?;
        }
        if roots.len() == before {
            return Err(TlsSetupError::ExtraCa);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extra_ca_must_hold_certificates() {
        for pem in [&b""[..], b"no pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(connector(Some(pem)), Err(TlsSetupError::ExtraCa)));
        }
        assert!(connector(None).is_ok());
    }
}
