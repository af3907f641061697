//! Certificates that nodes and clients show each other.

use std::fmt;

use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// Certificates of a node or a client, as PEM.
///
/// A node needs an identity, and wants one of its clients if it knows an
/// authority. A client needs the authority of the nodes, and an identity if they
/// want one.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Tls {
    /// The own certificate and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Who has signed the certificates of the others.
    pub authority: Option<Vec<u8>>,
    /// The name in the certificates of nodes, where it is not that in their
    /// addresses.
    pub domain: Option<String>,
}

impl Tls {
    /// Returns what a node needs, if there is an identity.
    pub(crate) fn server(&self) -> Option<ServerTlsConfig> {
        let mut config = ServerTlsConfig::new().identity(self.identity()?);
        if let Some(authority) = &self.authority {
            config = config.client_ca_root(Certificate::from_pem(authority));
        }
        Some(config)
    }

    pub(crate) fn client(&self) -> ClientTlsConfig {
        let mut config = ClientTlsConfig::new();
        if let Some(identity) = self.identity() {
            config = config.identity(identity);
        }
        if let Some(authority) = &self.authority {
            config = config.ca_certificate(Certificate::from_pem(authority));
        }
        if let Some(domain) = &self.domain {
            config = config.domain_name(domain);
        }
        config
    }

    fn identity(&self) -> Option<Identity> {
        let (certificate, key) = self.identity.as_ref()?;
        Some(Identity::from_pem(certificate, key))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys belong in no log.
        f.debug_struct("Tls")
            .field("has_identity", &self.identity.is_some())
            .field("has_authority", &self.authority.is_some())
            .field("domain", &self.domain)
            .finish()
    }
}
