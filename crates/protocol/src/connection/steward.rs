//! Looks after one server's process until it is gone.

use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::service::RunningService;
use tokio::sync::watch;

use super::Ending;
use super::desk::Desk;
use crate::launch::ExitHandle;
use crate::wire::Outbox;

/// What a server gets that closed its output without being asked: it can answer nothing more.
const AFTER_CLOSED_OUTPUT: Duration = Duration::from_secs(2);

/// Runs until the process is gone: waits for the wish to end it, and then sees it through.
///
/// The wish also comes by the last handle being dropped (then there is no grace) and by the
/// server closing its output.
pub(super) async fn look_after(
    exit: ExitHandle,
    service: RunningService<RoleClient, Desk>,
    outbox: Arc<Outbox>,
    mut ending: watch::Receiver<Option<Ending>>,
) {
    let serving = service.waiting();
    tokio::pin!(serving);
    let mut served = false;
    let mut asked = *ending.borrow_and_update();
    while asked.is_none() {
        tokio::select! {
            _ = exit.wait() => return,
            _ = &mut serving, if !served => {
                served = true;
                asked = Some(Ending::within(AFTER_CLOSED_OUTPUT));
            }
            changed = ending.changed() => asked = match changed {
                Ok(()) => *ending.borrow_and_update(),
                Err(_) => Some(Ending::within(Duration::ZERO)),
            },
        }
    }
    let Some(mut asked) = asked else { return };
    outbox.close();
    let (mut terminated, mut held) = (false, true);
    loop {
        let next = if terminated { asked.kill } else { asked.terminate.min(asked.kill) };
        tokio::select! {
            _ = exit.wait() => return,
            _ = &mut serving, if !served => served = true,
            changed = ending.changed(), if held => match changed {
                Ok(()) => asked = ending.borrow_and_update().unwrap_or(asked),
                Err(_) => {
                    held = false;
                    asked = Ending::within(Duration::ZERO);
                }
            },
            () = tokio::time::sleep_until(next) => {
                if next == asked.kill {
                    exit.kill();
                    // The keeper reports the exit when all is gone, or is lost itself.
                    exit.wait().await;
                    return;
                }
                exit.terminate();
                terminated = true;
            }
        }
    }
}
