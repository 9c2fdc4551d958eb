//! One endpoint's lane: its window, breaker and rate. Pure decisions; no clock, no I/O.

use crate::model::UnixMs;

/// Attempts at once to an endpoint of which nothing is known yet.
pub const WINDOW_START: u32 = 2;
/// Attempts in a row that did not reach the receiver until the breaker opens.
pub const BREAKER_FAILURES: u8 = 5;
/// The longest pause between probes of a dead endpoint.
pub const BREAKER_PAUSE_MS_MAX: i64 = 60_000;

/// What an attempt told about its endpoint, whatever became of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// It answered, with any status.
    Answered,
    /// It could not be reached, or did not answer in time.
    Unreachable,
    /// Nothing was sent.
    Nothing,
}

/// How many attempts may be in flight: grows by success, shrinks by failures to connect and
/// time-outs (slow start, as mail servers do it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    size: u32,
    max: u32,
}

impl Window {
    /// A window that has seen nothing, bounded by `max`.
    pub fn new(max: u32) -> Self {
        let max = max.max(1);
        Self { size: WINDOW_START.min(max), max }
    }

    /// Attempts that may be in flight.
    pub const fn size(&self) -> u32 {
        self.size
    }

    fn feed(&mut self, feedback: Feedback) {
        self.size = match feedback {
            Feedback::Answered => (self.size + 1).min(self.max),
            Feedback::Unreachable => (self.size / 2).max(1),
            Feedback::Nothing => self.size,
        };
    }
}

/// Whether an endpoint is taken for dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// It is alive as far as we know.
    Closed {
        /// Attempts in a row that did not reach it.
        failures: u8,
    },
    /// It is taken for dead: nothing is sent before `until`.
    Open {
        /// When the next probe may go.
        until: UnixMs,
        /// Probes that failed.
        probes: u8,
    },
    /// One probe is under way.
    HalfOpen {
        /// Probes that failed before.
        probes: u8,
    },
}

impl Breaker {
    /// A breaker of which nothing is known.
    pub const fn new() -> Self {
        Self::Closed { failures: 0 }
    }

    fn feed(self, feedback: Feedback, now: UnixMs) -> Self {
        match (self, feedback) {
            (_, Feedback::Answered) => Self::new(),
            (Self::HalfOpen { probes }, Feedback::Nothing) => Self::Open { until: now, probes },
            (state, Feedback::Nothing) | (state @ Self::Open { .. }, Feedback::Unreachable) => state,
            (Self::Closed { failures }, Feedback::Unreachable) if failures + 1 < BREAKER_FAILURES => {
                Self::Closed { failures: failures + 1 }
            }
            (Self::Closed { .. }, Feedback::Unreachable) => Self::Open { until: now + pause_ms(0), probes: 0 },
            (Self::HalfOpen { probes }, Feedback::Unreachable) => {
                let probes = probes.saturating_add(1);
                Self::Open { until: now + pause_ms(probes), probes }
            }
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

fn pause_ms(probes: u8) -> i64 {
    (1_000_i64 << probes.min(10)).min(BREAKER_PAUSE_MS_MAX)
}

/// Millionths of a token in a token: what a rate of one thousandth a second gives in so many milliseconds.
const TOKEN: i64 = 1_000_000;
/// The longest time that is made up for at once, in milliseconds: the slowest rate gives a token in it.
const REFILL_MS_MAX: i64 = TOKEN;

/// Attempts per second with a burst of one second, and of one attempt at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Thousandths of an attempt per second.
    per_1000_s: i64,
    /// Millionths of a token.
    tokens: i64,
    at: UnixMs,
}

impl Rate {
    /// A full bucket.
    pub fn new(per_s: u16, now: UnixMs) -> Self {
        Self::per_1000_s(i64::from(per_s.max(1)) * 1_000, now)
    }

    /// A bucket that was empty at `since`.
    pub fn since(per_s: u16, since: UnixMs, now: UnixMs) -> Self {
        let mut rate = Self { tokens: 0, at: since, ..Self::new(per_s, now) };
        rate.refill(now);
        rate
    }

    /// A full bucket of a rate in thousandths of an attempt per second, of which it has one at least.
    pub fn per_1000_s(per_1000_s: i64, now: UnixMs) -> Self {
        let per_1000_s = per_1000_s.max(1);
        Self { per_1000_s, tokens: Self::burst(per_1000_s), at: now }
    }

    const fn burst(per_1000_s: i64) -> i64 {
        let burst = per_1000_s * 1_000;
        if burst < TOKEN { TOKEN } else { burst }
    }

    fn refill(&mut self, now: UnixMs) {
        let elapsed = now.saturating_sub(self.at).clamp(0, REFILL_MS_MAX);
        if elapsed > 0 || now < self.at {
            self.tokens = (self.tokens + elapsed * self.per_1000_s).min(Self::burst(self.per_1000_s));
            self.at = now;
        }
    }

    /// Another rate from now on, in thousandths of an attempt per second; what the bucket holds stays, as
    /// far as there is room.
    pub fn change(&mut self, per_1000_s: i64, now: UnixMs) {
        self.refill(now);
        self.per_1000_s = per_1000_s.max(1);
        self.tokens = self.tokens.min(Self::burst(self.per_1000_s));
    }

    /// Takes a token.
    pub fn spend(&mut self) {
        self.tokens -= TOKEN;
    }

    /// Thousandths of an attempt per second.
    pub const fn thousandths(&self) -> i64 {
        self.per_1000_s
    }

    /// Milliseconds in which a token comes, 1 at least.
    pub fn token_ms(&self) -> i64 {
        (TOKEN / self.per_1000_s).max(1)
    }

    /// Whole tokens that there are.
    pub fn tokens_at(&mut self, now: UnixMs) -> i64 {
        self.refill(now);
        (self.tokens / TOKEN).max(0)
    }

    /// When there is a token: now, or later.
    pub fn ready_at(&mut self, now: UnixMs) -> UnixMs {
        self.refill(now);
        let missing = TOKEN - self.tokens;
        if missing <= 0 { now } else { now + (missing + self.per_1000_s - 1) / self.per_1000_s }
    }
}

/// What was last heard of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet: one attempt goes, and tells.
    Untried,
    /// It answered.
    Proven,
    /// It could not be reached, or did not answer in time.
    Failing,
}

/// The gate of a lane: everything that decides whether one more attempt may start.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    window: Window,
    breaker: Breaker,
    rate: Option<Rate>,
    /// When this process began to send to the endpoint; what another sent just before counts against the rate.
    since: UnixMs,
    standing: Standing,
}

/// Whether one more attempt may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// It may.
    Now,
    /// Not before.
    At(UnixMs),
    /// Not before an attempt in flight ends.
    AfterFeedback,
}

impl Gate {
    /// A gate of which nothing is known.
    pub fn new(window_max: u32) -> Self {
        Self {
            window: Window::new(window_max),
            breaker: Breaker::new(),
            rate: None,
            since: UnixMs::MIN,
            standing: Standing::Untried,
        }
    }

    /// The breaker's state.
    pub const fn breaker(&self) -> Breaker {
        self.breaker
    }

    /// Attempts that may be in flight.
    pub const fn window(&self) -> u32 {
        self.window.size()
    }

    /// Whether the last that was heard of the endpoint is an answer.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Something else says that it fails: what is kept of its health.
    pub fn note_failing(&mut self) {
        if self.standing == Standing::Untried {
            self.standing = Standing::Failing;
        }
    }

    /// Another has sent to the endpoint until now, and may have used its rate up.
    pub fn taken_over(&mut self, now: UnixMs) {
        self.since = now;
        self.rate = None;
    }

    /// Sets the rate; an unchanged one keeps its bucket.
    pub fn set_rate(&mut self, per_s: Option<u16>, now: UnixMs) {
        let unchanged = self.rate.map(|rate| rate.per_1000_s) == per_s.map(|per_s| i64::from(per_s.max(1)) * 1_000);
        if !unchanged {
            let is_first = self.rate.is_none();
            let made = |per_s| if is_first { Rate::since(per_s, self.since, now) } else { Rate::new(per_s, now) };
            self.rate = per_s.map(made);
        }
    }

    /// Whether one more attempt may start. A resend by hand does not wait for the breaker.
    pub fn pass(&mut self, in_flight: u32, manual: bool, now: UnixMs) -> Pass {
        if in_flight >= self.window.size() || (self.standing == Standing::Untried && in_flight > 0) {
            return Pass::AfterFeedback;
        }
        match self.breaker {
            Breaker::Open { until, .. } if now < until && !manual => return Pass::At(until),
            Breaker::Open { .. } | Breaker::HalfOpen { .. } if in_flight > 0 => return Pass::AfterFeedback,
            _ => {}
        }
        match self.rate.as_mut().map(|rate| rate.ready_at(now)) {
            Some(at) if at > now => Pass::At(at),
            _ => Pass::Now,
        }
    }

    /// An attempt starts.
    pub fn start(&mut self) {
        if let Some(rate) = &mut self.rate {
            rate.spend();
        }
        if let Breaker::Open { probes, .. } = self.breaker {
            self.breaker = Breaker::HalfOpen { probes };
        }
    }

    /// An attempt ended.
    pub fn feed(&mut self, feedback: Feedback, now: UnixMs) {
        if feedback == Feedback::Answered && !matches!(self.breaker, Breaker::Closed { .. }) {
            self.window = Window::new(self.window.max);
        }
        self.window.feed(feedback);
        self.breaker = self.breaker.feed(feedback, now);
        match feedback {
            Feedback::Answered => self.standing = Standing::Proven,
            Feedback::Unreachable => self.standing = Standing::Failing,
            Feedback::Nothing => {}
        }
    }

    /// The endpoint was changed by its owner: what was known of it may no longer hold.
    pub fn forgive(&mut self) {
        self.breaker = Breaker::new();
    }

    /// Nothing is known of the endpoint but that something was wrong with it: one attempt first.
    pub fn half_open(&mut self, now: UnixMs) {
        self.breaker = Breaker::Open { until: now, probes: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_window_stays_within_its_bounds(max in 1_u32..500, answers in proptest::collection::vec(any::<bool>(), 0..600)) {
            let mut gate = Gate::new(max);
            for answered in answers {
                gate.feed(if answered { Feedback::Answered } else { Feedback::Unreachable }, 0);
                prop_assert!((1..=max).contains(&gate.window()));
            }
        }

        #[test]
        fn a_rate_is_never_exceeded(per_s in 1_u16..200, steps in proptest::collection::vec(0_i64..50, 1..500)) {
            let mut gate = Gate::new(10_000);
            for _ in 0..10_000 { gate.feed(Feedback::Answered, 0); }
            gate.set_rate(Some(per_s), 0);
            let (mut now, mut sent) = (0, Vec::new());
            for step in steps {
                now += step;
                while gate.pass(0, false, now) == Pass::Now {
                    gate.start();
                    sent.push(now);
                }
            }
            for (i, first) in sent.iter().enumerate() {
                let within = sent[i..].iter().take_while(|at| **at < first + 1000).count();
                // A burst of one second, then the rate.
                prop_assert!(within <= 2 * usize::from(per_s) + 1);
            }
        }
    }

    #[test]
    fn the_rate_of_an_endpoint_that_was_taken_over_is_used_up() {
        let mut gate = Gate::new(100);
        gate.taken_over(10_000);
        gate.set_rate(Some(10), 10_000);
        assert_eq!(gate.pass(0, false, 10_000), Pass::At(10_100));
        let mut later = Gate::new(100);
        later.taken_over(10_000);
        later.set_rate(Some(10), 10_550);
        let burst = std::iter::from_fn(|| (later.pass(0, false, 10_550) == Pass::Now).then(|| later.start())).count();
        assert_eq!(burst, 5);
    }

    #[test]
    fn a_dead_endpoint_is_probed_at_growing_intervals_and_comes_back_small() {
        let mut gate = Gate::new(100);
        for _ in 0..BREAKER_FAILURES {
            gate.feed(Feedback::Unreachable, 0);
        }
        assert_eq!(gate.pass(0, false, 0), Pass::At(1_000));
        assert_eq!(gate.pass(0, true, 0), Pass::Now, "a resend by hand is a probe");
        let mut now = 1_000;
        for pause in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            assert_eq!(gate.pass(0, false, now), Pass::Now);
            gate.start();
            assert_eq!(gate.pass(1, false, now), Pass::AfterFeedback, "one probe at a time");
            gate.feed(Feedback::Unreachable, now);
            assert_eq!(gate.pass(0, false, now), Pass::At(now + pause));
            now += pause;
        }
        gate.start();
        gate.feed(Feedback::Answered, now);
        assert_eq!(gate.standing(), Standing::Proven);
        assert!(gate.window() <= WINDOW_START + 1);
        assert_eq!(gate.pass(0, false, now), Pass::Now);
    }
}
