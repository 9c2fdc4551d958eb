//! `posthouse sign`: the headers by which a body becomes a request that `posthouse verify` accepts.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::operate::print;
use super::verify::{RequestArgs, or_usage};

/// `posthouse sign`.
#[derive(Debug, Args)]
pub(super) struct SignArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// The event's id, where the scheme signs one [default: made of the time]
    #[arg(long)]
    id: Option<String>,
}

/// Prints one header a line, and for schemes that sign in the URL the parameter to add to it.
pub(super) fn run(args: &SignArgs) -> ExitCode {
    or_usage(sign(args))
}

fn sign(args: &SignArgs) -> anyhow::Result<ExitCode> {
    let given = args.request.read()?;
    let id = args.id.clone().unwrap_or_else(|| format!("msg_{}", given.now_ms));
    let signed = given.verifier.sign(&given.request(), given.now_ms, &id);
    let signed = signed.context("only HMAC, token and Standard Webhooks schemes can be signed for, with a secret")?;
    for (name, value) in signed.headers {
        print(&format!("{name}: {value}"))?;
    }
    if let Some((name, value)) = signed.query {
        print(&format!("# add to the URL: {name}={value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
