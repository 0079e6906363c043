//! The whole table as a snapshot, races by name, and the balance of starts and ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::fmt::Write as _;
use std::time::Duration;

use dormouse_lifecycle::{Action, Event, Life, Phase, Policy, Refusal, Then};
use dormouse_types::{Idle, Wanted};
use proptest::prelude::*;

const PHASES: [Phase; 14] = [
    Phase::Dormant,
    Phase::Starting { waiting: 0 },
    Phase::Starting { waiting: 2 },
    Phase::Running { leases: 0 },
    Phase::Running { leases: 1 },
    Phase::Running { leases: 2 },
    Phase::Draining { leases: 1, then: Then::Sleep },
    Phase::Draining { leases: 2, then: Then::Leave },
    Phase::Stopping { then: Then::Sleep },
    Phase::Stopping { then: Then::Wake { waiting: 1 } },
    Phase::Stopping { then: Then::Leave },
    Phase::Waiting,
    Phase::Down,
    Phase::Gone,
];

const EVENTS: [Event; 14] = [
    Event::CallArrived,
    Event::LeaseReturned { served: true },
    Event::LeaseReturned { served: false },
    Event::Wake,
    Event::Started,
    Event::StartFailed,
    Event::Exited,
    Event::IdleElapsed,
    Event::RetryElapsed,
    Event::Detach,
    Event::Retire,
    Event::Want(Wanted::OnDemand),
    Event::Want(Wanted::Always),
    Event::Want(Wanted::Stopped),
];

#[test]
fn the_table_is_as_reviewed() {
    let policy = Policy::default();
    let mut table = String::new();
    for wanted in [Wanted::OnDemand, Wanted::Always, Wanted::Stopped] {
        for phase in PHASES {
            for failures in [0, 3] {
                writeln!(table, "{wanted:?}, {phase:?}, {failures} failures").unwrap();
                for event in EVENTS {
                    let line = match (Life { wanted, phase, failures }).step(event, &policy) {
                        Ok((life, Action::None)) if life == (Life { wanted, phase, failures }) => {
                            continue;
                        }
                        Ok((life, action)) => {
                            format!("{:?}, {} failures; {action:?}", life.phase, life.failures)
                        }
                        Err(_) => "illegal".to_owned(),
                    };
                    writeln!(table, "    {event:?} -> {line}").unwrap();
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// Takes the events from a dormant on-demand server on; the last step must be as said.
fn check(events: &[Event], expected: (Phase, Action)) {
    let policy = Policy::default();
    let mut life = Life::new(Wanted::OnDemand);
    let mut last = Action::None;
    for &event in events {
        (life, last) = life.step(event, &policy).unwrap();
    }
    assert_eq!((life.phase, last), expected, "after {events:?}");
}

use Event::{CallArrived, Detach, Exited, IdleElapsed, Retire, RetryElapsed, StartFailed, Started};
const BACK: Event = Event::LeaseReturned { served: true };

#[test]
fn a_hundred_calls_make_one_start() {
    let mut life = Life::new(Wanted::OnDemand);
    let mut starts = 0;
    for _ in 0..100 {
        let (next, action) = life.step(CallArrived, &Policy::default()).unwrap();
        starts += u32::from(action == Action::Start);
        life = next;
    }
    assert_eq!((starts, life.phase), (1, Phase::Starting { waiting: 100 }));
    assert_eq!(life.step(Started, &Policy::default()).unwrap().0.phase, Phase::Running { leases: 100 });
}

#[test]
fn late_idle_timer_keeps_a_busy_server() {
    check(
        &[CallArrived, Started, BACK, CallArrived, IdleElapsed],
        (Phase::Running { leases: 1 }, Action::None),
    );
}

#[test]
fn call_during_stop_starts_again_after_exit() {
    check(
        &[CallArrived, Started, BACK, IdleElapsed, CallArrived, Exited],
        (Phase::Starting { waiting: 1 }, Action::Start),
    );
}

#[test]
fn a_replaced_version_finishes_its_calls_first() {
    check(
        &[CallArrived, Started, CallArrived, Retire, BACK],
        (Phase::Draining { leases: 1, then: Then::Leave }, Action::None),
    );
    check(
        &[CallArrived, Started, CallArrived, Retire, BACK, BACK],
        (Phase::Stopping { then: Then::Leave }, Action::Stop),
    );
    check(
        &[CallArrived, Started, CallArrived, Retire, CallArrived],
        (Phase::Draining { leases: 2, then: Then::Leave }, Action::Refuse(Refusal::Leaving)),
    );
}

#[test]
fn detach_of_a_busy_server_waits_for_its_calls() {
    check(&[CallArrived, Started, Detach], (Phase::Draining { leases: 1, then: Then::Sleep }, Action::None));
}

#[test]
fn three_failures_open_the_breaker_and_the_back_off_closes_it() {
    let two = [CallArrived, StartFailed, CallArrived, StartFailed, CallArrived];
    check(&two, (Phase::Starting { waiting: 1 }, Action::Start));
    let three = [&two[..], &[StartFailed]].concat();
    check(&three, (Phase::Waiting, Action::ArmRetry(Duration::from_secs(4))));
    check(&[&three[..], &[CallArrived]].concat(), (Phase::Waiting, Action::Refuse(Refusal::Open)));
    check(
        &[&three[..], &[RetryElapsed, CallArrived]].concat(),
        (Phase::Starting { waiting: 1 }, Action::Start),
    );
}

#[test]
fn zero_linger_stops_with_the_last_lease() {
    let policy = Policy { idle: Idle::After(Duration::ZERO), ..Policy::default() };
    let mut life = Life { wanted: Wanted::OnDemand, phase: Phase::Running { leases: 1 }, failures: 0 };
    let action;
    (life, action) = life.step(BACK, &policy).unwrap();
    assert_eq!((life.phase, action), (Phase::Stopping { then: Then::Sleep }, Action::Stop));
}

#[test]
fn delays_grow_to_a_minute_and_then_repeat_for_ever() {
    let policy = Policy::default();
    let seconds: Vec<u64> = (1..=12).map(|n| policy.delay(n).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60, 300, 300, 300]);
}

fn event() -> impl Strategy<Value = Event> {
    proptest::sample::select(EVENTS.to_vec())
}

proptest! {
    /// Plays an orchestrator: it performs actions, answers starts and stops, and never lies.
    #[test]
    fn starts_and_ends_always_balance(
        events in proptest::collection::vec(event(), 0..200),
        idle in proptest::sample::select(vec![Idle::Never, Idle::After(Duration::ZERO), Idle::default()]),
    ) {
        let policy = Policy { idle, ..Policy::default() };
        let mut life = Life::new(Wanted::OnDemand);
        let (mut starts, mut ends) = (0u32, 0u32);
        for event in events.into_iter().chain([Event::Retire]) {
            let alive = starts > ends;
            let possible = match event {
                Started | StartFailed => matches!(life.phase, Phase::Starting { .. }),
                Exited => alive && !matches!(life.phase, Phase::Starting { .. }),
                _ => true,
            };
            if !possible {
                prop_assert!(life.step(event, &policy).is_err());
                continue;
            }
            ends += u32::from(matches!(event, StartFailed | Exited));
            let (next, action) = life.step(event, &policy).unwrap();
            starts += u32::from(action == Action::Start);
            life = next;
            prop_assert!(starts - ends <= 1, "two processes at once");
            let holds_process = !matches!(life.phase, Phase::Dormant | Phase::Waiting | Phase::Down | Phase::Gone);
            prop_assert_eq!(holds_process, starts > ends);
        }
        // Bring it to its end: what still runs is told, and leaves.
        for _ in 0..500 {
            let event = match life.phase {
                Phase::Starting { .. } | Phase::Running { .. } => Event::Retire,
                Phase::Draining { .. } => BACK,
                Phase::Stopping { .. } => Exited,
                Phase::Dormant | Phase::Waiting | Phase::Down => Event::Retire,
                Phase::Gone => break,
            };
            ends += u32::from(event == Exited);
            let (next, action) = life.step(event, &policy).unwrap();
            starts += u32::from(action == Action::Start);
            life = next;
        }
        prop_assert_eq!(life.phase, Phase::Gone);
        prop_assert_eq!(starts, ends);
    }
}
