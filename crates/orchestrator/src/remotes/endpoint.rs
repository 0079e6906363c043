//! Where a server at a URL is, and who signs its requests.

use std::path::PathBuf;

use dormouse_protocol::Endpoint;
#[cfg(feature = "oauth")]
use dormouse_protocol::SignIns;
use dormouse_types::{Auth, Env, Remote, Scope};

use super::Remotes;
use crate::error::StartFault;
use crate::starter::expanded;

impl Remotes {
    /// Signs in as whoever owns the server: no agent uses what another was granted.
    pub(super) fn endpoint(&self, owner: &Scope, remote: &Remote) -> Result<Endpoint, StartFault> {
        let unreadable = |error| StartFault::Needs(format!("its URL cannot be read: {error}"));
        let headers = remote.headers.0.iter().map(|(name, value)| Ok((name.clone(), expanded(value)?)));
        let url = expanded(&remote.url)?.parse().map_err(unreadable)?;
        let ca_file = self.ca_file(remote);
        let auth = signing(&remote.auth)?;
        #[cfg(feature = "oauth")]
        let signer = self.sign_ins_of(owner).signer(&url, &auth, ca_file.as_deref());
        #[cfg(not(feature = "oauth"))]
        let _ = owner;
        #[cfg(not(feature = "oauth"))]
        let signer = match auth {
            Auth::Headers => None,
            Auth::AuthorizationCode { .. } | Auth::ClientCredentials { .. } => {
                let why = "it signs in by OAuth, and this program was built without the feature `oauth`";
                return Err(StartFault::Needs(why.to_owned()));
            }
        };
        Ok(Endpoint {
            signer,
            url,
            transport: remote.transport,
            headers: Env(headers.collect::<Result<_, StartFault>>()?),
            ca_file,
        })
    }

    fn ca_file(&self, remote: &Remote) -> Option<PathBuf> {
        remote.ca_file.as_ref().map(|file| self.space.join(file))
    }
}

/// Where to sign in for a server, with the variables put in.
#[cfg(feature = "oauth")]
#[derive(Debug)]
pub(crate) struct Place {
    /// As the protocol reads it.
    pub(crate) endpoint: Endpoint,
    pub(crate) auth: Auth,
}

#[cfg(feature = "oauth")]
impl Remotes {
    /// The sign-ins of the store or an agent.
    pub(crate) fn sign_ins_of(&self, owner: &Scope) -> SignIns {
        match owner {
            Scope::Store => self.sign_ins.clone(),
            Scope::Agent(agent) => self.sign_ins.of(agent.as_str()),
        }
    }

    pub(crate) fn place(&self, owner: &Scope, remote: &Remote) -> Result<Place, StartFault> {
        Ok(Place { endpoint: self.endpoint(owner, remote)?, auth: signing(&remote.auth)? })
    }
}

/// How the hub signs in, with the variables put in.
fn signing(auth: &Auth) -> Result<Auth, StartFault> {
    Ok(match auth {
        Auth::Headers => Auth::Headers,
        Auth::AuthorizationCode { client_id, client_secret, scopes } => Auth::AuthorizationCode {
            client_id: client_id.as_deref().map(expanded).transpose()?,
            client_secret: client_secret.as_deref().map(expanded).transpose()?,
            scopes: scopes.clone(),
        },
        Auth::ClientCredentials { client_id, client_secret, scopes } => Auth::ClientCredentials {
            client_id: expanded(client_id)?,
            client_secret: expanded(client_secret)?,
            scopes: scopes.clone(),
        },
    })
}
