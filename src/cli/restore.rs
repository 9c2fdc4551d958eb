//! `posthouse restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::config::ConfigFlags;
use super::operate::print;

/// `posthouse restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// What `posthouse backup` made
    file: PathBuf,
    /// Where the data folder has a store: put that aside under another name
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(args: &RestoreArgs, flags: &ConfigFlags) -> anyhow::Result<ExitCode> {
    let config = crate::config::load(flags.sources())?;
    let restored = crate::app::restore::restore(&config, &args.file, args.replace)?;
    if let Some(replaced) = restored.replaced {
        print(&format!("the store that was there is {} now", replaced.display()))?;
    }
    let (file, folder) = (args.file.display(), restored.folder.display());
    print(&format!("{folder} holds what {file} held; what was delivered since may be delivered again"))?;
    Ok(ExitCode::SUCCESS)
}
