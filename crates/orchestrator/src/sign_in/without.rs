//! What there is without the feature `oauth`: words.

use dormouse_types::ServerKey;

use super::{SignIn, SignInFault, SignInsKept};
use crate::orchestrator::Orchestrator;

#[expect(clippy::unused_async, reason = "as with the feature")]
impl Orchestrator {
    /// This program was built without the feature `oauth`.
    ///
    /// # Errors
    /// [`SignInFault::NotBuilt`]
    pub async fn login(&self, _: &ServerKey) -> Result<SignIn, SignInFault> {
        Err(SignInFault::NotBuilt)
    }

    /// This program was built without the feature `oauth`.
    ///
    /// # Errors
    /// [`SignInFault::NotBuilt`]
    pub async fn logout(&self, _: &ServerKey) -> Result<SignIn, SignInFault> {
        Err(SignInFault::NotBuilt)
    }

    /// This program was built without the feature `oauth`.
    ///
    /// # Errors
    /// [`SignInFault::NotBuilt`]
    pub async fn sign_in(&self, _: &ServerKey) -> Result<SignIn, SignInFault> {
        Err(SignInFault::NotBuilt)
    }

    /// This program was built without the feature `oauth`.
    ///
    /// # Errors
    /// [`SignInFault::NotBuilt`]
    pub async fn wait_sign_in(&self, _: &ServerKey) -> Result<SignIn, SignInFault> {
        Err(SignInFault::NotBuilt)
    }

    /// Where sign-ins are kept.
    pub async fn sign_ins_kept(&self) -> SignInsKept {
        SignInsKept::Nowhere
    }
}
