//! What is done with a server that is new or changed: wake it, contact it, or make its environment.

use std::sync::Arc;
use std::time::Duration;

use dormouse_lifecycle::{Event as Step, Phase};
use dormouse_registry::{Entry, Registry};
use dormouse_storage::Storage;
use dormouse_types::{
    Event, FeatureSource, Launch, PrepareStep, ServerKey, ServerState, ServerStatus, Timestamp, Wanted,
};
use tokio::sync::watch;
use tracing::warn;

use crate::duty::Turn;
use crate::inventory::Inventory;
use crate::remotes::{NOT_BUILT, Remotes};

/// The servers that are being contacted for the first time; their tools are not known yet.
#[derive(Debug, Clone, Default)]
pub struct Contacts(Vec<ServerKey>);

impl Contacts {
    /// How many of them are of a kind, such as those that one context sees.
    pub fn count(&self, of: impl Fn(&ServerKey) -> bool) -> usize {
        self.0.iter().filter(|key| of(key)).count()
    }

    pub(crate) fn begin(&mut self, key: &ServerKey) {
        self.0.push(key.clone());
    }

    /// One of two versions may go on.
    pub(crate) fn end(&mut self, key: &ServerKey) {
        if let Some(place) = self.0.iter().position(|known| known == key) {
            self.0.swap_remove(place);
        }
    }
}

/// How long a first contact waits for the inventory to take up what a server said.
const LEARNING: Duration = Duration::from_secs(5);

/// How long one of several hubs has the right to contact a server for the first time.
const CONTACT: Duration = Duration::from_secs(60);

impl Inventory {
    /// What is to be done with a server that is new or changed: wake it, contact it, or make its
    /// environment; or say at once why it cannot run.
    pub(crate) fn welcome(&self, entry: &Arc<Entry>) {
        let registry = &self.roster.engine().registry;
        match &entry.config.launch {
            Launch::Script { needs, .. } if needs.problem.is_some() => {
                if self.roster.known(&entry.key).is_none() {
                    registry.set_status(&entry.key, unreachable(needs.problem.clone()));
                }
                return;
            }
            Launch::Script { .. }
                if self.settings.prepare_ahead && entry.config.wanted == Wanted::OnDemand =>
            {
                self.prepare(entry.clone());
            }
            Launch::Elsewhere { .. } => {
                let reason = "script not here: it lies with another hub of this space".to_owned();
                registry.set_status(&entry.key, unreachable(Some(reason)));
                return;
            }
            Launch::Url(remote) if !Remotes::can_reach(remote) => {
                registry.set_status(&entry.key, unreachable(Some(NOT_BUILT.to_owned())));
                return;
            }
            Launch::Script { .. } | Launch::Command { .. } | Launch::Url(_) => {}
        }
        // What was wrong with an earlier version of it, without its ever being started.
        let status = registry.status(&entry.key);
        if self.roster.known(&entry.key).is_none()
            && status.is_some_and(|status| status.state == ServerState::Unreachable)
        {
            registry.set_status(&entry.key, ServerStatus::dormant(Timestamp::now()));
        }
        let wish = self.roster.engine().wishes.of(&entry.key);
        let wanted = wish.as_ref().map_or(entry.config.wanted, |wish| wish.wanted);
        if wanted == Wanted::Stopped {
            // So that it is shown as such, and why, before anybody needs it.
            if let Some(instance) = self.roster.instance(entry) {
                instance.wish(wish);
            }
            return;
        }
        let wake = wanted == Wanted::Always;
        let contact = entry.source == FeatureSource::Unknown;
        if !wake && !contact {
            return;
        }
        let Some(instance) = self.roster.instance(entry) else { return };
        if wake {
            instance.feed(Step::Wake);
        }
        if contact {
            self.contacts.send_modify(|contacts| contacts.begin(&entry.key));
            let (contacts, key) = (self.contacts.clone(), entry.key.clone());
            let registry = self.roster.engine().registry.clone();
            let (storage, entry) = (self.storage.clone(), entry.clone());
            let told = async move {
                if wake {
                    // Every hub has one of those that always run, and hears it from there.
                    first_contact(registry, entry, instance.phases()).await;
                } else if let Turn::Ours(led) = turn_to_contact(&*storage, &registry, &entry).await {
                    instance.asked_under(led.clone());
                    instance.feed(Step::Wake);
                    let contact = first_contact(registry, entry, instance.phases());
                    match &led {
                        // It may take longer than the lease.
                        Some(led) => tokio::select! {
                            () = contact => {}
                            never = led.hold(&*storage, CONTACT) => match never {},
                        },
                        None => contact.await,
                    }
                    instance.asked_under(None);
                }
            };
            let ending = self.roster.engine().ending.clone();
            self.roster.engine().tasks.spawn(async move {
                tokio::select! {
                    () = told => {}
                    // Nobody takes up any more what the server says.
                    () = ending.cancelled() => {}
                }
                contacts.send_modify(|contacts| contacts.end(&key));
            });
        }
    }

    fn prepare(&self, entry: Arc<Entry>) {
        let Launch::Script { needs, .. } = &entry.config.launch else { return };
        let engine = self.roster.engine().clone();
        if engine.starter.environments().ready_now(needs).is_some() {
            return;
        }
        let roster = self.roster.clone();
        let needs = needs.clone();
        engine.clone().tasks.spawn(async move {
            let report = |step: PrepareStep| {
                engine.registry.emit(Event::Preparing { server: entry.key.clone(), step });
            };
            let result = tokio::select! {
                () = engine.ending.cancelled() => return,
                result = engine.starter.python(&needs, &report) => result,
            };
            if let Err(fault) = result
                && roster.known(&entry.key).is_none()
            {
                warn!(server = %entry.key, fault = %fault.chain(), "its environment could not be made");
                engine.registry.set_status(&entry.key, unreachable(Some(fault.chain())));
            }
        });
    }
}

/// Whether this hub is to contact a server for the first time. Of several hubs one does, and the
/// others take up what it was told; it is not ours any more once that happened.
async fn turn_to_contact(storage: &dyn Storage, registry: &Registry, entry: &Entry) -> Turn {
    if !storage.is_shared() {
        return Turn::Ours(None);
    }
    let mut version = registry.version();
    while is_unknown(registry, entry) {
        let duty = format!("contact {}", entry.content_hash);
        let turn = Turn::take(storage, duty, CONTACT).await;
        if turn != Turn::Theirs {
            return turn;
        }
        // Until it is known, or the one who has the right may be gone.
        let _ = tokio::time::timeout(CONTACT / 6, version.changed()).await;
    }
    Turn::Theirs
}

/// Whether nobody knows yet what this version of a server offers.
fn is_unknown(registry: &Registry, entry: &Entry) -> bool {
    let now = registry.snapshot();
    let now = now.get(&entry.key);
    now.is_some_and(|now| now.content_hash == entry.content_hash && now.source == FeatureSource::Unknown)
}

/// Returns once the registry knows what the server offers, or it is clear that it never will.
async fn first_contact(registry: Registry, entry: Arc<Entry>, mut phases: watch::Receiver<Phase>) {
    let Ok(phase) = phases.wait_for(|phase| !matches!(phase, Phase::Starting { .. })).await.map(|p| *p)
    else {
        return;
    };
    if matches!(phase, Phase::Down | Phase::Waiting | Phase::Gone) {
        return;
    }
    let mut version = registry.version();
    let learned = async { while is_unknown(&registry, &entry) && version.changed().await.is_ok() {} };
    // The inventory takes it up at once; this only bounds a wait for one that has ended.
    let _ = tokio::time::timeout(LEARNING, learned).await;
}

/// A status for a server that cannot even be tried.
fn unreachable(reason: Option<String>) -> ServerStatus {
    ServerStatus { state: ServerState::Unreachable, reason, ..ServerStatus::dormant(Timestamp::now()) }
}
