//! The command line of `posthouse bench`: what was typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Load, sink and report in one command, against a server on this machine.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    /// What to run when no subcommand is named.
    #[command(flatten)]
    pub run: RunArgs,
    /// `suite`, or nothing for a single run.
    #[command(subcommand)]
    pub command: Option<BenchCommand>,
}

/// What `bench` can do beside a single run.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum BenchCommand {
    /// Start servers of its own, run every scenario on a fresh one, write a Markdown table.
    Suite(SuiteArgs),
}

/// A single run against a server that is up already.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// The server; a loopback address, anything else is refused.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Further nodes on the same database: connections are spread over all.
    #[arg(long, value_name = "URL", num_args = 1)]
    pub also: Vec<String>,
    /// API key; default: the environment variable `POSTHOUSE_KEY`.
    #[arg(long)]
    pub key: Option<String>,
    /// Connections of the closed loop, each with one request in flight.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub connections: u32,
    /// That many producers instead of `--connections`; 1 measures the latency of acknowledgement.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub producers: Option<u32>,
    /// How long to publish (default 60s; with --messages the bound in time, default 1h).
    #[arg(long, value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// How many messages to publish.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub messages: Option<u64>,
    /// Size of each payload (at least 54).
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub payload_bytes: u32,
    /// Applications; each message goes to one picked at random.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub applications: u32,
    /// Endpoints of each application (fan-out).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub endpoints_per_application: u32,
    /// Share of the endpoints that answers 500, in percent.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub failing: u32,
    /// Endpoints that never answer, each in an application of its own.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub hanging: u32,
    /// Messages queued on each hanging endpoint before the measured load.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub hanging_messages: u64,
    /// Open loop: messages per second, latency counted from the moment each is due.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,
    /// The most connections that the open loop opens.
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub connections_max: u32,
    /// A fresh `idempotency-key: auto_…` on each call, as the SDKs send it.
    #[arg(long)]
    pub idempotency_key: bool,
    /// Send through a Stripe source of each application, signed, instead of publishing with a key.
    #[arg(long, conflicts_with_all = ["idempotency_key", "hanging"])]
    pub stripe_source: bool,
    /// Where the sink listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub sink_listen: SocketAddr,
    /// The sink waits so long before it answers.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub sink_delay_ms: u64,
    /// Process of the server: its CPU per message and its memory are reported.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Data folder of the server: its growth is reported, and the disk's fdatasync measured in it.
    #[arg(long = "server-data-dir", value_name = "FOLDER")]
    pub server_data_dir: Option<PathBuf>,
    /// How long to wait, after the load, until everything acknowledged has arrived.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
    /// Threads of the load, and as many of the sink.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// Leave out the disk's fdatasync and the generator's own ceiling.
    #[arg(long)]
    pub skip_machine: bool,
    /// What to call the run in the Markdown row.
    #[arg(long, default_value = "bench")]
    pub name: String,
    /// Write the report as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Append the report as a row of a Markdown table.
    #[arg(long)]
    pub markdown: Option<PathBuf>,
}

/// The scenarios, each on a server of its own.
#[derive(Debug, Clone, clap::Args)]
pub struct SuiteArgs {
    /// The Markdown file to write.
    #[arg(long)]
    pub out: PathBuf,
    /// Durations and counts divided by ten: a try, not a measurement.
    #[arg(long, conflicts_with = "long")]
    pub short: bool,
    /// Also the run of 5,000,000 messages over 1,000 applications.
    #[arg(long)]
    pub long: bool,
    /// Only these scenarios, by number or name, comma-separated (`1,isolation`).
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Another server binary than this one.
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// Parent of the data folders (default: the system's folder for temporary files).
    #[arg(long)]
    pub work_dir: Option<PathBuf>,
    /// Write every report as JSON, one a line.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// `60s`, `2m`, `500ms`; at most 24 h.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|e: jiff::Error| e.to_string())?;
    let duration = Duration::try_from(parsed).map_err(|e| e.to_string())?;
    if duration.is_zero() || duration > Duration::from_hours(24) {
        return Err("between 1ns and 24h".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(parse_duration("60s"), Ok(Duration::from_mins(1)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(parse_duration("0s").is_err());
        assert!(parse_duration("-5s").is_err());
        assert!(parse_duration("25h").is_err());
    }
}
