//! Certificates: what is read from one, and whether it leads to a root.
//!
//! The chain is `rustls-webpki`'s work, which says nothing about common names; these, and the validity of the
//! leaf, are read with `x509-cert`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, SubjectAltName};

use super::plain_https;
use crate::receive::Cause;
use crate::receive::asymmetric::PublicKey;

/// Most certificates of one file that are looked at.
const CERTIFICATES_MAX: usize = 8;
/// Most bytes of one file: a certificate has fewer than 4,096.
const FILE_BYTES_MAX: usize = 65_536;
/// `id-ad-caIssuers` (RFC 5280, 4.2.2.1).
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// The certificates of a file as DER: blocks of PEM, or one in DER. Empty if there is none, or too much.
pub(super) fn certificates(file: &[u8]) -> Vec<Vec<u8>> {
    if file.len() > FILE_BYTES_MAX {
        return Vec::new();
    }
    let Some(text) = std::str::from_utf8(file).ok().filter(|text| text.contains("-----BEGIN CERTIFICATE-----")) else {
        return if file.first() == Some(&0x30) { vec![file.to_vec()] } else { Vec::new() };
    };
    let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1).take(CERTIFICATES_MAX);
    blocks
        .filter_map(|block| {
            let (inner, _) = block.split_once("-----END CERTIFICATE-----")?;
            let compact: String = inner.split_ascii_whitespace().collect();
            STANDARD.decode(compact).ok()
        })
        .collect()
}

/// The certificate that a signature is made with.
pub(super) struct Leaf {
    certificate: x509_cert::Certificate,
}

impl Leaf {
    /// One that cannot be read is not trusted.
    pub(super) fn read(der: &[u8]) -> Result<Self, Cause> {
        let certificate = x509_cert::Certificate::from_der(der).map_err(|_| Cause::CertUntrusted)?;
        Ok(Self { certificate })
    }

    /// Whether the time, in milliseconds since 1970, is within its validity.
    pub(super) fn check_validity(&self, now_ms: i64) -> Result<(), Cause> {
        let validity = self.certificate.tbs_certificate().validity();
        let now = u64::try_from(now_ms).map(Duration::from_millis).map_err(|_| Cause::CertExpired)?;
        let (from, until) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
        if from <= now && now <= until { Ok(()) } else { Err(Cause::CertExpired) }
    }

    /// The DNS names and the common name.
    pub(super) fn names(&self) -> Vec<String> {
        let tbs = self.certificate.tbs_certificate();
        let mut names = Vec::new();
        if let Ok(Some((_, alternatives))) = tbs.get_extension::<SubjectAltName>() {
            names.extend(alternatives.0.iter().filter_map(|name| match name {
                GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
                _ => None,
            }));
        }
        if let Ok(Some(name)) = tbs.subject().common_name() {
            names.push(name.value().into_owned());
        }
        names
    }

    /// Its public key.
    pub(super) fn key(&self) -> Result<PublicKey, Cause> {
        let info = self.certificate.tbs_certificate().subject_public_key_info();
        info.to_der().map(PublicKey::Encoded).map_err(|_| Cause::CertUntrusted)
    }

    /// Where its issuer's certificate is, if that is on one of the hosts. Authorities write `http`, which we
    /// do not use; their hosts answer to `https` as well.
    pub(super) fn issuer_url(&self, hosts: &[&str]) -> Option<String> {
        let tbs = self.certificate.tbs_certificate();
        let (_, access) = tbs.get_extension::<AuthorityInfoAccessSyntax>().ok()??;
        access.0.iter().filter(|entry| entry.access_method.to_string() == CA_ISSUERS).find_map(|entry| {
            let GeneralName::UniformResourceIdentifier(url) = &entry.access_location else { return None };
            let url = format!("https://{}", url.as_str().split_once("://")?.1);
            let is_listed = plain_https(&url).is_some_and(|(host, _)| hosts.contains(&host));
            is_listed.then_some(url)
        })
    }
}

/// What a chain must end in.
pub(super) struct Anchors {
    anchors: Vec<TrustAnchor<'static>>,
}

impl Anchors {
    /// The web's roots.
    pub(super) fn web() -> Self {
        Self { anchors: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
    }

    /// The certificates of a PEM file, of which any is trusted, whether it is a root or not.
    pub(super) fn parse(pem: &str) -> Result<Self, Cause> {
        let mut anchors = Vec::new();
        for der in certificates(pem.as_bytes()) {
            let der = CertificateDer::from(der);
            anchors.push(anchor_from_trusted_cert(&der).map_err(|_| Cause::CertUntrusted)?.to_owned());
        }
        Ok(Self { anchors })
    }

    /// Whether a certificate leads to an anchor, by way of these others.
    pub(super) fn check(&self, leaf: &[u8], others: &[Vec<u8>], now_ms: i64) -> Result<(), Cause> {
        let leaf = CertificateDer::from(leaf);
        let others: Vec<CertificateDer<'_>> = others.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let leaf = EndEntityCert::try_from(&leaf).map_err(|_| Cause::CertUntrusted)?;
        let now = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(now_ms).unwrap_or(0)));
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.anchors,
            &others,
            now,
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map(|_| ())
        .map_err(|error| match error {
            webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => Cause::CertExpired,
            _ => Cause::CertUntrusted,
        })
    }
}
