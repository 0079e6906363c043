//! What hubs on one storage tell each other and store nowhere: events, and the alerts that there are.
//!
//! Alerts live in the memory of the hubs. A hub that joins, or missed something, asks for them, and
//! every other one answers with all it has. An alert is the same everywhere but for its number, and
//! dismissing is a moment, so that it does not matter in which order a hub hears of what.

use dormouse_types::{Alert, Event, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::{debug, warn};

use crate::inventory::Inventory;
use crate::replicas::heard_events;

/// Under which hubs speak of alerts.
const ALERTS: &str = "alerts";

/// What hubs say of alerts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OfAlerts {
    /// A hub wants to know which there are.
    Wanted,
    /// These are there.
    Known {
        /// Until when they were dismissed.
        dismissed: Option<Timestamp>,
        list: Vec<Alert>,
    },
}

impl Inventory {
    /// Takes up what another hub told.
    pub(crate) async fn hear(&self, mut told: Value) {
        if let Some(of_alerts) = told.get_mut(ALERTS).map(Value::take) {
            return self.hear_of_alerts(of_alerts).await;
        }
        let engine = self.roster.engine();
        for event in heard_events(told) {
            if let Event::Elsewhere { event, .. } = &event {
                if let Event::Alert { alert } = &**event {
                    engine.alerts.of_another(alert);
                }
                if let Event::AlertsCleared { until } = &**event {
                    engine.alerts.dismissed(*until);
                }
            }
            engine.registry.emit(event);
        }
    }

    /// Asks the other hubs which alerts there are.
    pub(crate) async fn ask_for_alerts(&self) {
        self.tell_of_alerts(&OfAlerts::Wanted).await;
    }

    async fn hear_of_alerts(&self, told: Value) {
        let alerts = &self.roster.engine().alerts;
        match serde_json::from_value(told) {
            Ok(OfAlerts::Wanted) => {
                let (dismissed, list) = alerts.all();
                if dismissed.is_some() || !list.is_empty() {
                    self.tell_of_alerts(&OfAlerts::Known { dismissed, list }).await;
                }
            }
            Ok(OfAlerts::Known { dismissed, list }) => {
                dismissed.into_iter().for_each(|until| alerts.dismissed(until));
                list.iter().for_each(|alert| alerts.of_another(alert));
            }
            Err(error) => warn!(%error, "what another hub tells of alerts is not understood"),
        }
    }

    async fn tell_of_alerts(&self, what: &OfAlerts) {
        if let Err(error) = self.storage.tell(&json!({ ALERTS: what })).await {
            debug!(%error, "other hubs are told nothing of alerts");
        }
    }
}
