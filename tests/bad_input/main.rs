//! Bad input to every operation, generated from the server's own description of its API: whatever
//! comes, the answer is one of the 4xx, names the field, and leaves everything as it was.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod hostile;
mod operation;
mod world;

use std::time::{Duration, Instant};

use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use crate::cases::{Case, Expected};
use crate::operation::Operation;
use crate::support::http::Response;
use crate::world::World;

/// Random cases of each parameter and property, while there is time.
const RANDOM_CASES: usize = 6;
/// How long random cases are added to the fixed ones.
const RANDOM_TIME_MAX: Duration = Duration::from_secs(20);
/// Set it to see again what a failure printed.
const SEED_VARIABLE: &str = "POSTHOUSE_TEST_SEED";

/// Where random cases come from: a seed that a failure prints.
struct Chance {
    seed: u64,
    runner: TestRunner,
    until: Instant,
}

impl Chance {
    fn new() -> Self {
        let given = std::env::var(SEED_VARIABLE).ok().map(|seed| seed.parse().expect("a number"));
        let seed: u64 = given.unwrap_or_else(rand::random);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let runner = TestRunner::new_with_rng(proptest::test_runner::Config::default(), rng);
        Self { seed, runner, until: Instant::now() + RANDOM_TIME_MAX }
    }

    /// How many random cases the next parameter gets.
    fn cases(&self) -> usize {
        if Instant::now() < self.until { RANDOM_CASES } else { 0 }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_what_it_does_not_describe() {
    let world = World::start().await;
    let operations = Operation::all(&world.document().await);
    let mut chance = Chance::new();
    world.mend().await;
    let (mut refused, mut others, mut wrong) = (0, 0, Vec::new());
    for operation in &operations {
        let (bad, open): (Vec<Case>, Vec<Case>) =
            cases::of(operation, &world, &mut chance).into_iter().partition(Case::is_refused);
        let before = world.all_that_can_be_read(&operations).await;
        for case in &bad {
            wrong.extend(judge(&world, operation, case).await);
        }
        let after = world.all_that_can_be_read(&operations).await;
        for (path, was) in before {
            if after.get(&path) != Some(&was) {
                wrong.push(format!("{}: refused input changed {path}", operation.name));
            }
        }
        for case in &open {
            wrong.extend(judge(&world, operation, case).await);
        }
        world.mend().await;
        refused += bad.len();
        others += open.len();
    }
    let seed = chance.seed;
    assert!(wrong.is_empty(), "{SEED_VARIABLE}={seed}: {} are wrong:\n{}", wrong.len(), shortened(&wrong));
    assert!(refused > 1_000, "{refused} refused cases");
    eprintln!("{refused} cases were refused, {others} others were answered; seed {seed}");
}

/// The first of what is wrong, which tells enough.
fn shortened(wrong: &[String]) -> String {
    let lines: Vec<String> = wrong.iter().take(60).map(|line| line.chars().take(600).collect()).collect();
    lines.join("\n")
}

/// Sends a case; what is wrong with its answer.
async fn judge(world: &World, operation: &Operation, case: &Case) -> Option<String> {
    let answer = match world.client(operation).try_send(&case.request).await {
        Ok(answer) => answer,
        Err(error) => return Some(format!("{} {}: no answer: {error}", operation.name, case.what)),
    };
    let problem = match &case.expected {
        _ if answer.status >= 500 => Some("is an error of the server".to_owned()),
        Expected::Field(place, name) => not_naming(&answer, place, name),
        Expected::Status(allowed) if !allowed.contains(&answer.status) => Some(format!("should be one of {allowed:?}")),
        Expected::Status(_) | Expected::Anything => not_an_error_of_ours(&answer),
    };
    problem.map(|problem| format!("{} {}: {} {} {problem}", operation.name, case.what, answer.status, answer.text()))
}

/// Why an answer does not refuse this field.
fn not_naming(answer: &Response, place: &str, name: &str) -> Option<String> {
    if answer.status != 422 {
        return Some(format!("should be 422 for {place} {name}"));
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let named = body["detail"].as_array().is_some_and(|details| {
        details.iter().any(|detail| detail["loc"][0] == place && detail["loc"][1] == name && detail["msg"].is_string())
    });
    (!named).then(|| format!("does not name {place} {name}"))
}

/// Why an answer is neither a success nor an error in our shape.
fn not_an_error_of_ours(answer: &Response) -> Option<String> {
    if answer.status < 400 {
        return None;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let coded = body["code"].is_string() && body["detail"].is_string();
    let listed = answer.status == 422 && body["detail"].is_array();
    (!coded && !listed).then(|| "is not in the shape of errors".to_owned())
}
