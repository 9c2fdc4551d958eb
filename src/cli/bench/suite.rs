//! placeholder
pub(super) fn run(_args: &super::args::SuiteArgs) -> anyhow::Result<()> { Ok(()) }
