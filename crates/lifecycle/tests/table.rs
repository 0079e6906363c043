//! The whole table as a snapshot, races by name, and the balance of starts and ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::fmt::Write as _;
use std::time::Duration;

use dormouse_lifecycle::{
    Action, Breaker, CallStep, Event, Life, Phase, Policy, Refusal, Supervision, Then, jittered,
};
use dormouse_types::{Idle, ServerState, Wanted};
use proptest::prelude::*;
use serde_json::json;

const PHASES: [Phase; 16] = [
    Phase::Dormant,
    Phase::Starting { waiting: 0 },
    Phase::Starting { waiting: 2 },
    Phase::Running { leases: 0 },
    Phase::Running { leases: 1 },
    Phase::Running { leases: 2 },
    Phase::Draining { leases: 1, then: Then::Sleep },
    Phase::Draining { leases: 2, then: Then::Leave },
    Phase::Draining { leases: 1, then: Then::Retry },
    Phase::Stopping { then: Then::Sleep },
    Phase::Stopping { then: Then::Wake { waiting: 1 } },
    Phase::Stopping { then: Then::Leave },
    Phase::Stopping { then: Then::Retry },
    Phase::Waiting,
    Phase::Down,
    Phase::Gone,
];

const EVENTS: [Event; 23] = [
    Event::CallArrived,
    Event::LeaseReturned,
    Event::Call(CallStep::Begins),
    Event::Call(CallStep::Served),
    Event::Call(CallStep::Failed),
    Event::Call(CallStep::TrialFailed),
    Event::Call(CallStep::TrialGivenUp),
    Event::Call(CallStep::BackOffOver),
    Event::SignInWanted,
    Event::Wake,
    Event::Started,
    Event::StartFailed,
    Event::Exited,
    Event::ProbeAnswered,
    Event::ProbeFailed,
    Event::Retuned,
    Event::IdleElapsed,
    Event::RetryElapsed,
    Event::Detach,
    Event::Retire,
    Event::Want(Wanted::OnDemand),
    Event::Want(Wanted::Always),
    Event::Want(Wanted::Stopped),
];

const BREAKERS: [Breaker; 5] = [
    Breaker::Closed { failed: 0 },
    Breaker::Closed { failed: 2 },
    Breaker::Open { failed: 3 },
    Breaker::HalfOpen { failed: 3 },
    Breaker::Trying { failed: 3 },
];

/// A life with a breaker that never saw a call.
fn life(wanted: Wanted, phase: Phase, failures: u32) -> Life {
    Life { phase, failures, ..Life::new(wanted) }
}

/// The default policy with other numbers.
fn tuned(change: impl FnOnce(&mut Supervision)) -> Policy {
    let mut policy = Policy::default();
    change(&mut policy.supervision);
    policy
}

#[test]
fn the_table_is_as_reviewed() {
    let policy = Policy::default();
    let mut table = String::new();
    for wanted in [Wanted::OnDemand, Wanted::Always, Wanted::Stopped] {
        for phase in PHASES {
            for failures in [0, 3] {
                writeln!(table, "{wanted:?}, {phase:?}, {failures} failures").unwrap();
                for event in EVENTS {
                    let before = life(wanted, phase, failures);
                    let line = match before.step(event, &policy) {
                        Ok((after, Action::None)) if after == before => continue,
                        Ok((after, action)) if after.breaker != before.breaker => {
                            format!(
                                "{:?}, {} failures, {:?}; {action:?}",
                                after.phase, after.failures, after.breaker
                            )
                        }
                        Ok((after, action)) => {
                            format!("{:?}, {} failures; {action:?}", after.phase, after.failures)
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

/// The same for one of which nobody knows yet what it offers: all that is otherwise than above,
/// and the word for it.
#[test]
fn the_table_of_one_that_was_never_contacted_is_as_reviewed() {
    let (usual, insist) = (Policy::default(), Policy { insist: true, ..Policy::default() });
    let mut table = String::new();
    for wanted in [Wanted::OnDemand, Wanted::Always, Wanted::Stopped] {
        for phase in PHASES {
            for failures in [0, 1, 3, 10] {
                let before = life(wanted, phase, failures);
                let (word, otherwise) = (before.word(&insist), before.word(&usual));
                let heading = format!("{wanted:?}, {phase:?}, {failures} failures: {word}");
                let mut lines = match word == otherwise {
                    true => Vec::new(),
                    false => vec![format!("    known, it would be {otherwise}")],
                };
                for event in EVENTS {
                    let Ok((after, action)) = before.step(event, &insist) else { continue };
                    if before.step(event, &usual) != Ok((after, action)) {
                        let word = after.word(&insist);
                        lines.push(format!("    {event:?} -> {:?}: {word}; {action:?}", after.phase));
                    }
                }
                if !lines.is_empty() {
                    writeln!(table, "{heading}\n{}", lines.join("\n")).unwrap();
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// The same for what the breaker changes: all that touches a life whose calls failed.
#[test]
fn the_breakers_table_is_as_reviewed() {
    let policy = Policy::default();
    let phases = [
        Phase::Dormant,
        Phase::Starting { waiting: 1 },
        Phase::Running { leases: 0 },
        Phase::Running { leases: 2 },
        Phase::Draining { leases: 1, then: Then::Retry },
    ];
    let mut table = String::new();
    for phase in phases {
        for breaker in BREAKERS {
            let before = Life { breaker, ..life(Wanted::OnDemand, phase, 0) };
            writeln!(table, "{phase:?}, {breaker:?}: {}", before.word(&policy)).unwrap();
            for event in EVENTS {
                let Ok((after, action)) = before.step(event, &policy) else { continue };
                if after.breaker == before.breaker && !matches!(event, Event::Call(_) | Exited) {
                    continue;
                }
                let Life { phase, failures, breaker, .. } = after;
                writeln!(table, "    {event:?} -> {phase:?}, {failures} failures, {breaker:?}; {action:?}")
                    .unwrap();
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

use Event::{
    CallArrived, Detach, Exited, IdleElapsed, ProbeAnswered, ProbeFailed, Retire, RetryElapsed, StartFailed,
    Started,
};
const BACK: Event = Event::LeaseReturned;
const BEGINS: Event = Event::Call(CallStep::Begins);
const SERVED: Event = Event::Call(CallStep::Served);
const FAILED: Event = Event::Call(CallStep::Failed);

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
    let mut life = life(Wanted::OnDemand, Phase::Running { leases: 1 }, 0);
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

#[test]
fn an_open_breaker_lets_one_attempt_through_which_closes_or_opens_it() {
    let open = [CallArrived, StartFailed, CallArrived, StartFailed, CallArrived, StartFailed];
    let tried = [&open[..], &[RetryElapsed, CallArrived]].concat();
    // All who come now wait for this one attempt.
    check(&[&tried[..], &[CallArrived]].concat(), (Phase::Starting { waiting: 2 }, Action::None));
    check(&[&tried[..], &[StartFailed]].concat(), (Phase::Waiting, Action::ArmRetry(Duration::from_secs(8))));
    check(
        &[&tried[..], &[StartFailed, CallArrived]].concat(),
        (Phase::Waiting, Action::Refuse(Refusal::Open)),
    );
    let closed = [&tried[..], &[Started, SERVED, BACK, Detach, Exited, CallArrived]].concat();
    check(
        &[&closed[..], &[StartFailed, CallArrived]].concat(),
        (Phase::Starting { waiting: 1 }, Action::Start),
    );
}

#[test]
fn probes_start_an_idle_server_anew_and_leave_a_busy_one_alone() {
    let policy = Policy { idle: Idle::Never, ..Policy::default() };
    let play = |phase, failures, events: &[Event]| {
        let mut life = life(Wanted::Always, phase, failures);
        let mut last = Action::None;
        for &event in events {
            (life, last) = life.step(event, &policy).unwrap();
        }
        (life, last)
    };
    let idle = Phase::Running { leases: 0 };
    let (life, _) = play(idle, 0, &[ProbeFailed, ProbeFailed]);
    assert_eq!(life.word(&policy), ServerState::Warning);
    let (life, action) = play(idle, 0, &[ProbeFailed, ProbeFailed, ProbeFailed]);
    assert_eq!((life.phase, action), (Phase::Stopping { then: Then::Retry }, Action::Stop));
    assert_eq!(life.word(&policy), ServerState::Reconnecting);
    let (life, action) = play(life.phase, life.failures, &[Exited]);
    assert_eq!((life.phase, action), (Phase::Waiting, Action::ArmRetry(Duration::from_secs(4))));
    let (life, _) = play(idle, 0, &[ProbeFailed, ProbeFailed, ProbeAnswered, ProbeFailed]);
    assert_eq!((life.phase, life.failures), (idle, 1), "an answer begins the count anew");

    let busy = Phase::Running { leases: 2 };
    let (life, action) = play(busy, 0, &[ProbeFailed; 20]);
    assert_eq!((life.phase, life.failures, action), (busy, 0, Action::None));
    // Its calls fail as well: nobody new gets in, and no call that runs is cut off.
    let (life, action) = play(busy, 2, &[FAILED, FAILED, FAILED, BACK, ProbeFailed]);
    let draining = Phase::Draining { leases: 1, then: Then::Retry };
    assert_eq!((life.phase, action), (draining, Action::None));
    // One who gives up says nothing of it.
    let (life, action) = life.step(BACK, &policy).unwrap();
    assert_eq!((life.phase, action), (Phase::Stopping { then: Then::Retry }, Action::Stop));
    let (life, action) = play(draining, 3, &[SERVED, BACK]);
    assert_eq!((life.phase, life.failures, action), (idle, 0, Action::None), "it answers after all");
}

#[test]
fn a_server_that_nobody_knows_is_tried_again_by_itself() {
    let policy = Policy { insist: true, ..Policy::default() };
    let (life, action) = Life::new(Wanted::OnDemand).step(Event::Wake, &policy).unwrap();
    assert_eq!(action, Action::Start);
    let (life, action) = life.step(StartFailed, &policy).unwrap();
    assert_eq!(action, Action::ArmRetry(Duration::from_secs(1)));
    assert_eq!(life.step(RetryElapsed, &policy).unwrap().1, Action::Start);
}

#[test]
fn changed_thresholds_move_a_back_off_under_way() {
    let policy = tuned(|numbers| numbers.long_retry = Duration::from_secs(60));
    let waiting = life(Wanted::Always, Phase::Waiting, 12);
    let (moved, action) = waiting.step(Event::Retuned, &policy).unwrap();
    assert_eq!((moved.phase, action), (Phase::Waiting, Action::ArmRetry(Duration::from_secs(60))));
    // The breaker opens later now: the next call may try.
    let later = tuned(|numbers| numbers.open_after = 5);
    let (moved, _) = life(Wanted::OnDemand, Phase::Waiting, 4).step(Event::Retuned, &later).unwrap();
    assert_eq!(moved.phase, Phase::Down);
    // So does that of an awake server.
    let open = Life {
        breaker: Breaker::Open { failed: 4 },
        ..life(Wanted::OnDemand, Phase::Running { leases: 0 }, 0)
    };
    let (moved, action) = open.step(Event::Retuned, &later).unwrap();
    assert_eq!((moved.breaker, action), (Breaker::Closed { failed: 4 }, Action::None));
    let slower = tuned(|numbers| numbers.first_delay = Duration::from_secs(2));
    let (moved, action) = open.step(Event::Retuned, &slower).unwrap();
    assert_eq!((moved.breaker, action), (open.breaker, Action::ArmBreaker(Duration::from_secs(16))));
}

#[test]
fn three_calls_without_an_answer_open_the_breaker_of_a_server_that_answers_probes() {
    let busy = [CallArrived, Started, CallArrived];
    let three = [&busy[..], &[FAILED, ProbeAnswered, FAILED, ProbeAnswered, FAILED]].concat();
    check(&three, (Phase::Running { leases: 2 }, Action::ArmBreaker(Duration::from_secs(4))));
    let open = [&three[..], &[ProbeAnswered]].concat();
    // No call gets in; those that run, and those who hold it awake, are left alone.
    check(&[&open[..], &[BEGINS]].concat(), (Phase::Running { leases: 2 }, Action::Refuse(Refusal::Open)));
    check(&[&open[..], &[CallArrived]].concat(), (Phase::Running { leases: 3 }, Action::None));
    // One that was sent before and is answered closes it.
    check(&[&open[..], &[SERVED, BEGINS]].concat(), (Phase::Running { leases: 2 }, Action::None));
    let half = [&open[..], &[Event::Call(CallStep::BackOffOver), BEGINS]].concat();
    check(&half, (Phase::Running { leases: 2 }, Action::None));
    check(&[&half[..], &[BEGINS]].concat(), (Phase::Running { leases: 2 }, Action::Refuse(Refusal::Open)));
    // One of before it opened has no word on how it is now; the one that tries has.
    check(&[&half[..], &[FAILED]].concat(), (Phase::Running { leases: 2 }, Action::None));
    check(
        &[&half[..], &[Event::Call(CallStep::TrialFailed)]].concat(),
        (Phase::Running { leases: 2 }, Action::ArmBreaker(Duration::from_secs(8))),
    );
    check(
        &[&half[..], &[Event::Call(CallStep::TrialGivenUp), BEGINS]].concat(),
        (Phase::Running { leases: 2 }, Action::None),
    );
    check(&[&half[..], &[SERVED, BEGINS]].concat(), (Phase::Running { leases: 2 }, Action::None));
}

#[test]
fn a_call_that_is_answered_ends_the_count_and_one_that_is_given_up_does_not() {
    let failing = [CallArrived, Started, CallArrived, FAILED, FAILED];
    check(
        &[&failing[..], &[BACK, FAILED]].concat(),
        (Phase::Running { leases: 1 }, Action::ArmBreaker(Duration::from_secs(4))),
    );
    check(&[&failing[..], &[SERVED, FAILED]].concat(), (Phase::Running { leases: 2 }, Action::None));
}

#[test]
fn the_breaker_of_a_server_that_sleeps_says_that_a_call_would_not_wake_it() {
    let policy = Policy::default();
    let open = Life { breaker: Breaker::Open { failed: 3 }, ..Life::new(Wanted::OnDemand) };
    assert_eq!(open.word(&policy), ServerState::Unreachable);
    assert_eq!(open.step(BEGINS, &policy).unwrap().1, Action::Refuse(Refusal::Open));
    let (put_to_sleep, _) = open.step(Detach, &policy).unwrap();
    assert_eq!(put_to_sleep, Life::new(Wanted::OnDemand), "a person begins the count anew");
    // Its start decides, and counts on.
    let (life, _) = open.step(Event::Wake, &policy).unwrap();
    let (life, action) = life.step(StartFailed, &policy).unwrap();
    assert_eq!((life.phase, life.failures), (Phase::Waiting, 3));
    assert_eq!((life.breaker, action), (Breaker::default(), Action::ArmRetry(Duration::from_secs(4))));
}

#[test]
fn a_process_that_ends_after_a_failed_call_backs_off_also_when_the_lease_came_back_first() {
    let end = [CallArrived, Started, FAILED, BACK, Exited];
    check(&end, (Phase::Down, Action::None));
    check(&[CallArrived, Started, FAILED, Exited], (Phase::Down, Action::None));
    check(&[CallArrived, Started, SERVED, BACK, Exited], (Phase::Dormant, Action::None));
    let thrice = [&end[..], &end[..], &end[..]].concat();
    check(&thrice, (Phase::Waiting, Action::ArmRetry(Duration::from_secs(4))));
}

#[test]
fn jitter_shortens_a_delay_by_a_quarter_at_most() {
    let minute = Duration::from_secs(60);
    assert_eq!((jittered(minute, 0), jittered(minute, u32::MAX)), (Duration::from_secs(45), minute));
}

#[test]
fn settings_out_of_range_are_refused_with_the_range_and_nothing_changes() {
    let now = Supervision::default();
    let problems = now
        .patched(&json!({"warn_after": 0, "probe_seconds": 9.9, "open_after": 2.5, "long_retry_seconds": "5",
            "patience": 1, "stop_seconds": 2}))
        .unwrap_err();
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 5, "{said:?}");
    assert_eq!(said[0], "`warn_after` cannot be 0: it must be a whole number from 1 to 10");
    assert_eq!(said[1], "`probe_seconds` cannot be 9.9: it must be a number from 10 to 300");
    assert!(
        said[4].starts_with("`patience` cannot be 1: it is no setting; there are warn_after, "),
        "{said:?}"
    );
    for no_object in [json!(null), json!([1]), json!("x")] {
        assert!(now.patched(&no_object).is_err());
    }
}

#[test]
fn settings_are_changed_by_the_names_under_which_they_show() {
    let now = Supervision::default();
    let patched =
        now.patched(&json!({"open_after": 4, "first_delay_seconds": 0.5, "refresh_hours": 1})).unwrap();
    assert_eq!(patched.open_after, 4);
    assert_eq!(patched.first_delay, Duration::from_millis(500));
    assert_eq!(patched.refresh, Duration::from_secs(3600));
    assert_eq!(now.patched(&patched.to_value()).unwrap(), patched);
    // A file may say what a person may not: it is no reason to refuse the rest.
    let short = Supervision { stop: Duration::from_millis(200), ..now };
    assert_eq!(short.patched(&short.to_value()).unwrap(), short);
    for (name, least, most) in Supervision::ranges() {
        for fits in [least, most] {
            now.patched(&json!({ name: fits })).unwrap();
        }
        for out in [least / 2.0, most * 2.0] {
            now.patched(&json!({ name: out })).unwrap_err();
        }
    }
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
        let mut armed = false;
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
            armed |= matches!(action, Action::ArmBreaker(_));
            if let Breaker::Open { failed } = next.breaker {
                prop_assert!(armed, "an open breaker that nobody opens again");
                prop_assert!(failed >= policy.supervision.open_after);
                let attached_or_asleep = !matches!(next.phase, Phase::Waiting | Phase::Down);
                prop_assert!(attached_or_asleep, "two back-offs at once");
            } else {
                armed = false;
            }
            if matches!(event, Event::Call(_)) && event != SERVED {
                prop_assert_eq!((next.phase, next.failures), (life.phase, life.failures), "it ends no call");
            }
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
