//! What is in memory and what is loaded.

use super::*;

const ENDPOINT: EndpointKey = EndpointKey(1);
const APP: AppKey = AppKey(2);
const NOW: UnixMs = 1_000_000;

fn scheduler() -> Scheduler {
    Scheduler::new(SchedulerLimits {
        in_flight_max: 100,
        unproven_in_flight_max: 50,
        window_max: 10,
        in_memory_max: 100_000,
        lane_in_memory_max: 50_000,
    })
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
    scheduler.loaded(ENDPOINT, &[waiting(NOW - 10, 7)], NOW);
    assert_eq!(taken(&mut scheduler), Some(MessageKey(7)));
    let loads = scheduler.take_loads();
    assert_eq!(loads, [(ENDPOINT, Some((NOW - 5, MessageKey(i64::MIN))))]);
    scheduler.loaded(ENDPOINT, &[waiting(NOW - 5, 8)], NOW);
    assert_eq!(taken(&mut scheduler), Some(MessageKey(8)));
    assert!(scheduler.take_loads().is_empty());
}

#[test]
fn a_page_that_could_not_be_read_is_read_again_with_what_came_meanwhile() {
    let mut scheduler = scheduler();
    scheduler.stored(ENDPOINT, APP, NOW - 5, NOW);
    assert_eq!(scheduler.take_loads().len(), 1);
    scheduler.stored(ENDPOINT, APP, NOW - 10, NOW);
    scheduler.load_failed(ENDPOINT, NOW);
    scheduler.wake(NOW + 1_000);
    assert_eq!(scheduler.take_loads(), [(ENDPOINT, Some((NOW - 10, MessageKey(i64::MIN))))]);
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
    scheduler.loaded(ENDPOINT, &[waiting(NOW, 5_000)], NOW);
    assert_eq!(taken(&mut scheduler), Some(MessageKey(5_000)));
    assert_eq!(scheduler.in_memory(), 1_000);
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
