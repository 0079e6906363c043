//! Watches over one attached server: health probes, and its lists listed anew.
//!
//! Each attached server has watches of its own, which end with its process: a slow one delays
//! no other, and a dormant one is never woken.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use dormouse_lifecycle::{Supervision, jittered};
use dormouse_protocol::{CallError, Connection};
use dormouse_types::Features;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::duty::Turn;
use crate::instance::{Instance, random};
use crate::share::Hold;

/// A server that announces changed lists all the time is listed this often at most.
const BETWEEN_LISTS: Duration = Duration::from_millis(250);
/// How long a connection that could not take a probe gets to be seen as ended.
const TO_END: Duration = Duration::from_secs(1);

impl Instance {
    /// Until the process is gone, which the caller sees.
    pub(crate) async fn watch_over(self: &Arc<Self>, hold: &Hold) -> Infallible {
        let connection = hold.connection();
        tokio::join!(self.probes(connection), self.lists(hold), self.overhear(connection)).0
    }

    async fn probes(self: &Arc<Self>, connection: &Connection) -> Infallible {
        let mut supervision = self.engine().supervision.subscribe();
        let mut unwell = self.unwell();
        loop {
            let pace =
                |now: &Supervision, unwell: bool| if unwell { now.probe_in_warning } else { now.probe };
            pause(&mut supervision, &mut unwell, pace).await;
            // What it found is counted and shown.
            let _ = self.probe(connection).await;
        }
    }

    /// One probe now, counted as it goes; how long the answer took.
    pub(crate) async fn probe(self: &Arc<Self>, connection: &Connection) -> Result<Duration, CallError> {
        let timeout = self.engine().supervision.borrow().probe_timeout;
        let began = Instant::now();
        let answer = connection.ping(timeout).await;
        let problem = match &answer {
            // An error or rubbish is an answer: it lives.
            Ok(()) | Err(CallError::Refused { .. } | CallError::Unreadable { .. }) => None,
            Err(error @ (CallError::NotSent | CallError::Died { .. })) => {
                // Most often its end is being noticed, and counts by itself.
                tokio::time::sleep(TO_END).await;
                Some(error.to_string())
            }
            Err(CallError::TimedOut { .. }) => {
                let busy = self.leases().filter(|leases| *leases > 0);
                let calls = busy.map(|leases| format!(", while {leases} calls run")).unwrap_or_default();
                Some(format!("it did not answer a health probe within {} s{calls}", timeout.as_secs_f64()))
            }
            Err(CallError::SignIn(error)) => Some(self.wants_sign_in(error)),
            Err(error) => Some(dormouse_types::chain(error)),
        };
        let answered = problem.is_none();
        self.engine().measures.probed(answered);
        self.probed(connection, problem);
        if answered { Ok(began.elapsed()) } else { answer.map(|()| began.elapsed()) }
    }

    async fn lists(self: &Arc<Self>, hold: &Hold) -> Infallible {
        let connection = hold.connection();
        let mut supervision = self.engine().supervision.subscribe();
        let mut announced = connection.list_changed();
        let _right = hold.listing().await;
        // Nothing of a server's health changes how often it is listed.
        let (_calm, mut calm) = watch::channel(false);
        loop {
            tokio::select! {
                () = pause(&mut supervision, &mut calm, |now, _| now.refresh) => {
                    match self.turn_to_list().await {
                        Turn::Ours(led) => self.asked_under(led),
                        Turn::Theirs => continue,
                    }
                }
                Ok(()) = announced.changed() => {}
            }
            announced.borrow_and_update();
            if let Err(error) = self.list_anew(connection).await {
                warn!(server = %self.key(), %error, "its lists cannot be read anew");
            }
            self.asked_under(None);
            tokio::time::sleep(BETWEEN_LISTS).await;
        }
    }

    /// Whether this hub is the one that lists it anew, of several that have the same version of it.
    async fn turn_to_list(&self) -> Turn {
        let refresh = self.engine().supervision.borrow().refresh;
        let duty = format!("list {}", self.version());
        // Longer than the pace with its jitter: who has the right renews it in time.
        Turn::take(&*self.engine().storage, duty, refresh * 5 / 4).await
    }

    /// Lists anew and takes it up.
    pub(crate) async fn list_anew(&self, connection: &Connection) -> Result<Arc<Features>, CallError> {
        let features = connection.refresh(self.timing().start).await?;
        self.said(features.clone());
        Ok(features)
    }
}

/// Sleeps for a pace, from now on, at which the settings and the server's health may turn at any
/// time. Not all to the same instant: a thousand servers that came at once part soon.
async fn pause(
    supervision: &mut watch::Receiver<Supervision>,
    unwell: &mut watch::Receiver<bool>,
    pace: impl Fn(&Supervision, bool) -> Duration,
) {
    let (began, luck) = (Instant::now(), random());
    loop {
        let pace = pace(&supervision.borrow_and_update(), *unwell.borrow_and_update());
        tokio::select! {
            () = tokio::time::sleep_until(began + jittered(pace, luck)) => return,
            Ok(()) = supervision.changed() => {}
            Ok(()) = unwell.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_follows_the_settings_and_the_health_at_once() {
        let (settings, mut supervision) = watch::channel(Supervision::default());
        let (health, mut unwell) = watch::channel(false);
        let began = Instant::now();
        let pace = |now: &Supervision, unwell: bool| if unwell { now.probe_in_warning } else { now.probe };
        let paused = pause(&mut supervision, &mut unwell, pace);
        tokio::pin!(paused);
        assert!(futures::poll!(&mut paused).is_pending());
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(futures::poll!(&mut paused).is_pending());
        health.send_replace(true);
        let soon = Duration::from_secs(5);
        settings.send_replace(Supervision { probe_in_warning: soon, ..Supervision::default() });
        paused.await;
        assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    }
}
