//! A certificate authority of our own, and a certificate of it for servers on this machine.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Files of certificates in a folder that ends with this value.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes them. The server's is for `127.0.0.1` and `localhost`.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("dormouse-ca-").tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let root = authority.self_signed(&authority_key).unwrap();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let server = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let made = Self { folder };
        std::fs::write(made.authority(), root.pem()).unwrap();
        std::fs::write(made.certificate(), server.pem()).unwrap();
        std::fs::write(made.key(), key.serialize_pem()).unwrap();
        made
    }

    /// Whom clients trust, in PEM.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The server's certificate, in PEM.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// The server's key, in PEM.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
