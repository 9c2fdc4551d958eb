//! What is in memory and what is loaded.

use super::*;
use crate::dispatch::lane::Feedback;

const ENDPOINT: EndpointKey = EndpointKey(1);
const APP: AppKey = AppKey(2);
const NOW: UnixMs = 1_000_000;
/// As one process asks for it.
const LOAD: Load = Load { endpoint: ENDPOINT, from: None, holding: 1 };

fn scheduler() -> Scheduler {
    Scheduler::new(
        SchedulerLimits {
            in_flight_max: 100,
            unproven_in_flight_max: 50,
            window_max: 10,
            in_memory_max: 100_000,
            lane_in_memory_max: 50_000,
        },
        Ownership::all(),
    )
}

fn waiting(due: UnixMs, message: i64) -> Waiting {
    Waiting { due, message: MessageKey(message), attempts: 0, trigger: Trigger::Scheduled }
}

fn taken(scheduler: &mut Scheduler) -> Option<MessageKey> {
    scheduler.take(NOW).map(|ticket| ticket.message)
}

#[test]
fn what_is_stored_while_a_page_is_read_is_loaded_with_the_next() {
    let mut scheduler = scheduler();
    scheduler.stored(ENDPOINT, APP, NOW - 10, NOW);
    assert_eq!(scheduler.take_loads().len(), 1);
    // The page was read before this was stored.
    scheduler.stored(ENDPOINT, APP, NOW - 5, NOW);
    assert!(scheduler.take_loads().is_empty(), "one page at a time");
    scheduler.loaded(&LOAD, &[waiting(NOW - 10, 7)], NOW);
    let first = scheduler.take(NOW).expect("a ticket");
    assert_eq!(first.message, MessageKey(7));
    scheduler.finish(&first, Feedback::Answered, None, NOW);
    let loads = scheduler.take_loads();
    assert_eq!(loads, [Load { from: Some((NOW - 5, MessageKey(i64::MIN))), ..LOAD }]);
    scheduler.loaded(&LOAD, &[waiting(NOW - 5, 8)], NOW);
    assert_eq!(taken(&mut scheduler), Some(MessageKey(8)));
    assert!(scheduler.take_loads().is_empty());
}

#[test]
fn a_page_that_could_not_be_read_is_read_again_with_what_came_meanwhile() {
    let mut scheduler = scheduler();
    scheduler.stored(ENDPOINT, APP, NOW - 5, NOW);
    assert_eq!(scheduler.take_loads().len(), 1);
    scheduler.stored(ENDPOINT, APP, NOW - 10, NOW);
    scheduler.load_failed(&LOAD, NOW);
    scheduler.wake(NOW + 1_000);
    assert_eq!(scheduler.take_loads(), [Load { from: Some((NOW - 10, MessageKey(i64::MIN))), ..LOAD }]);
}

#[test]
fn what_is_recovered_does_not_wait_for_the_retries_in_memory() {
    let mut scheduler = scheduler();
    for message in 0..1_000 {
        scheduler.wait(ENDPOINT, APP, waiting(NOW + 60_000 + message, message), NOW);
    }
    assert!(scheduler.take_loads().is_empty());
    scheduler.stored(ENDPOINT, APP, NOW, NOW);
    assert_eq!(scheduler.take_loads().len(), 1);
    scheduler.loaded(&LOAD, &[waiting(NOW, 5_000)], NOW);
    assert_eq!(taken(&mut scheduler), Some(MessageKey(5_000)));
    assert_eq!(scheduler.in_memory(), 1_000);
}

#[test]
fn what_has_another_place_leaves_its_own_and_resends_stay() {
    let mut scheduler = scheduler();
    for message in [1, 2] {
        scheduler.wait(ENDPOINT, APP, waiting(NOW + 60_000, message), NOW);
    }
    let resend = Waiting { trigger: Trigger::Manual, ..waiting(NOW + 60_000, 1) };
    scheduler.wait(ENDPOINT, APP, resend, NOW);
    // A page is on its way that was read before the replay.
    scheduler.stored(ENDPOINT, APP, NOW - 5, NOW);
    assert_eq!(scheduler.take_loads().len(), 1);
    scheduler.withdraw(ENDPOINT, &[MessageKey(1)].into_iter().collect());
    scheduler.stored(ENDPOINT, APP, NOW, NOW);
    scheduler.loaded(&LOAD, &[waiting(NOW + 60_000, 1), waiting(NOW + 60_000, 2)], NOW);
    assert_eq!(scheduler.in_memory(), 2, "the resend, and the other message");
    let loads = scheduler.take_loads();
    assert_eq!(loads, [Load { from: Some((NOW, MessageKey(i64::MIN))), ..LOAD }]);
    scheduler.loaded(&loads[0], &[waiting(NOW, 1), waiting(NOW + 60_000, 2)], NOW);
    let mut left = Vec::new();
    while let Some(ticket) = scheduler.take(NOW) {
        left.push((ticket.message.0, ticket.trigger));
        scheduler.finish(&ticket, Feedback::Answered, None, NOW);
        scheduler.stored_outcome(ENDPOINT, ticket.message, ticket.taken);
    }
    assert_eq!(left, [(1, Trigger::Manual), (1, Trigger::Scheduled)]);
}

#[test]
fn what_is_forgotten_is_in_no_part_of_a_lane() {
    let mut scheduler = scheduler();
    for message in [1, 2] {
        scheduler.offer(ENDPOINT, APP, None, MessageKey(message), None, NOW);
        scheduler.wait(ENDPOINT, APP, waiting(NOW, 10 + message), NOW);
        let resend = Waiting { trigger: Trigger::Manual, ..waiting(NOW, 20 + message) };
        scheduler.wait(ENDPOINT, APP, resend, NOW);
    }
    assert_eq!(scheduler.in_memory(), 6);
    scheduler.forget(ENDPOINT, &[1, 11, 21].map(MessageKey).into_iter().collect());
    assert_eq!(scheduler.in_memory(), 3);
    let mut left = Vec::new();
    while let Some(ticket) = scheduler.take(NOW) {
        left.push(ticket.message.0);
        scheduler.finish(&ticket, Feedback::Answered, None, NOW);
        scheduler.stored_outcome(ENDPOINT, ticket.message, ticket.taken);
    }
    left.sort_unstable();
    assert_eq!(left, [2, 12, 22]);
}

#[test]
fn the_rate_of_an_application_goes_round_its_endpoints() {
    let mut scheduler = scheduler();
    scheduler.set_app_rate(APP, Some(10), None, NOW);
    let endpoints = [1, 2, 3].map(EndpointKey);
    for endpoint in endpoints {
        for message in 0..1_000 {
            scheduler.offer(endpoint, APP, None, MessageKey(message), None, NOW);
        }
    }
    let mut counts = [0_usize; 3];
    let mut now = NOW;
    while now <= NOW + 20_000 {
        scheduler.wake(now);
        while let Some(ticket) = scheduler.take(now) {
            counts[ticket.endpoint.0 as usize - 1] += 1;
            scheduler.finish(&ticket, Feedback::Answered, None, now);
            scheduler.stored_outcome(ticket.endpoint, ticket.message, ticket.taken);
        }
        now = scheduler.next_wake().unwrap_or(i64::MAX).max(now + 1);
    }
    let total: usize = counts.iter().sum();
    assert!((205..=211).contains(&total), "a burst of ten, and ten a second: {counts:?}");
    assert!(counts.iter().all(|count| (65..=75).contains(count)), "each has its share: {counts:?}");

    scheduler.set_app_rate(APP, None, None, now);
    let free = std::iter::from_fn(|| scheduler.take(now)).count();
    assert!(free > 10, "without a rate nobody waits for it: {free}");
}

#[test]
fn who_fails_does_not_keep_others_from_their_first_attempt() {
    let mut scheduler = scheduler();
    let offer = |scheduler: &mut Scheduler, endpoint: i64| {
        for message in 0..3 {
            scheduler.offer(EndpointKey(endpoint), APP, None, MessageKey(message), None, NOW);
        }
    };
    for endpoint in 0..200 {
        offer(&mut scheduler, endpoint);
    }
    let first: Vec<Ticket> = std::iter::from_fn(|| scheduler.take(NOW)).collect();
    assert_eq!(first.len(), 50, "half of all places are for those that have not answered");
    let mut endpoints: Vec<i64> = first.iter().map(|ticket| ticket.endpoint.0).collect();
    endpoints.dedup();
    assert_eq!(endpoints.len(), 50, "each with one attempt");
    for ticket in &first {
        scheduler.finish(ticket, Feedback::Unreachable, None, NOW);
        scheduler.stored_outcome(ticket.endpoint, ticket.message, ticket.taken);
    }
    let second: Vec<Ticket> = std::iter::from_fn(|| scheduler.take(NOW)).collect();
    let again = second.iter().filter(|ticket| ticket.endpoint.0 < 50).count();
    assert!(again <= 25, "of these at most half are for those that fail: {again}");
}

#[test]
fn what_is_read_along_is_kept_only_for_deliveries_that_are_still_there() {
    let mut scheduler = scheduler();
    scheduler.set_rate(ENDPOINT, None, NOW);
    for message in 0..20 {
        scheduler.wait(ENDPOINT, APP, waiting(NOW - 100 + message, message), NOW);
    }
    let first = scheduler.take(NOW).expect("a ticket");
    scheduler.finish(&first, Feedback::Answered, None, NOW);
    let second = scheduler.take(NOW).expect("a ticket");
    let third = scheduler.take(NOW).expect("a ticket");
    assert!(second.prefetch.len() > 1);
    assert!(!third.prefetch[1..].iter().any(|message| second.prefetch.contains(message)), "nothing is read twice");
    scheduler.attach(ENDPOINT, &second.prefetch, Vec::new());
    let lane = &scheduler.lanes[&ENDPOINT];
    assert!(lane.bodies.is_empty());
    assert!(second.prefetch.iter().all(|message| !lane.ahead.contains(message)));
}
