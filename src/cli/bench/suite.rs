//! `posthouse bench suite`: every scenario on a fresh server and folder, one table at the end.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::args::SuiteArgs;
use super::machine::date;
use super::report::{Machine, Report};
use super::run::measure_machine;
use super::scenarios::{self, SCENARIOS};
use super::server::Server;
use super::session::{Phase, Session, Setup};

/// One line of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) scenario: String,
    pub(super) measured: String,
    pub(super) floor: String,
    /// `None` where nothing is demanded.
    pub(super) ok: Option<bool>,
}

/// What every scenario works with.
#[derive(Debug)]
pub(super) struct Suite<'a> {
    pub(super) args: &'a SuiteArgs,
    pub(super) machine: Machine,
    pub(super) rows: Vec<Row>,
    pub(super) reports: Vec<Report>,
    binary: PathBuf,
    work_dir: PathBuf,
}

/// Runs the scenarios and writes the table, whatever becomes of single ones.
pub(super) fn run(args: &SuiteArgs) -> anyhow::Result<()> {
    for only in &args.only {
        let known = SCENARIOS.iter().any(|s| s.is_called(only));
        anyhow::ensure!(known, "no scenario is called {only}: {}", scenarios::names());
    }
    let parent = args.work_dir.clone().unwrap_or_else(std::env::temp_dir);
    let work_dir = parent.join(format!("posthouse-bench-{}", std::process::id()));
    std::fs::create_dir_all(&work_dir)?;
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()?,
    };
    eprintln!("measuring the machine …");
    let machine = measure_machine(&work_dir, 256, 500, 1)?;
    eprintln!("{}", machine.text());
    let mut suite = Suite { args, machine, rows: Vec::new(), reports: Vec::new(), binary, work_dir };
    let mut failed = 0;
    for scenario in SCENARIOS {
        let wanted = args.only.is_empty() || args.only.iter().any(|o| scenario.is_called(o));
        let too_long = scenario.long_only && !args.long && args.only.is_empty();
        if !wanted || too_long {
            continue;
        }
        eprintln!("── {} {}", scenario.number, scenario.name);
        if let Err(error) = (scenario.run)(&mut suite) {
            failed += 1;
            suite.row(scenario.name, format!("did not run: {error:#}"), "to run", Some(false));
        }
        // Written after each, so that an interrupted suite leaves what it has.
        suite.write()?;
    }
    println!("{}", suite.markdown());
    if failed == 0 {
        std::fs::remove_dir_all(&suite.work_dir)?;
    } else {
        eprintln!("the servers' logs are in {}", suite.work_dir.display());
    }
    anyhow::ensure!(failed == 0, "{failed} scenarios did not run");
    Ok(())
}

impl Suite<'_> {
    pub(super) fn row(
        &mut self,
        scenario: &str,
        measured: impl Into<String>,
        floor: impl Into<String>,
        ok: Option<bool>,
    ) {
        let (scenario, measured, floor) = (scenario.to_owned(), measured.into(), floor.into());
        eprintln!("   {scenario}: {measured} (floor: {floor})");
        self.rows.push(Row { scenario, measured, floor, ok });
    }

    /// A count or a duration in seconds, a tenth of it in a short suite.
    pub(super) fn scaled(&self, full: u64) -> u64 {
        if self.args.short { (full / 10).max(1) } else { full }
    }

    pub(super) fn seconds(&self, full: u64) -> Duration {
        // Shorter than three seconds says nothing about a rate.
        Duration::from_secs(self.scaled(full).max(full.min(3)))
    }

    /// A fresh, empty folder for a server.
    pub(super) fn fresh_folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.work_dir.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    pub(super) fn start(&self, folder: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Server> {
        let log = folder.with_extension("log");
        Server::start(&self.binary, &folder.join("data"), &log, settings)
    }

    /// What a session with this server is set up with; scenarios change what they need.
    pub(super) fn setup(server: &Server, folder: &Path) -> anyhow::Result<Setup> {
        Ok(Setup {
            url: server.url.clone(),
            also: Vec::new(),
            key: server.create_key()?,
            applications: 1,
            fan_out: 1,
            failing_percent: 0,
            hanging: 0,
            payload_bytes: 500,
            idempotency_key: false,
            stripe_source: false,
            sink_listen: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
            sink_delay: Duration::ZERO,
            threads: 1,
            server_pid: Some(server.pid()),
            data_dir: Some(folder.join("data")),
        })
    }

    pub(super) fn phase(&self, name: &str, seconds: u64) -> Phase {
        Phase {
            name: name.to_owned(),
            connections: 256,
            connections_max: 1_024,
            duration: self.seconds(seconds),
            messages: None,
            rate: None,
            drain_timeout: Duration::from_mins(2),
        }
    }

    /// Measures a phase and keeps its report.
    pub(super) fn measure(&mut self, session: &Session, phase: &Phase) -> anyhow::Result<Report> {
        let mut report = session.measure(phase)?;
        eprintln!("{}", report.table());
        report.machine = Some(self.machine.clone());
        self.reports.push(report.clone());
        if let Some(trouble) = &report.trouble {
            anyhow::bail!("the load ended early: {trouble}");
        }
        Ok(report)
    }

    /// A report of this suite by its name.
    pub(super) fn report(&self, name: &str) -> Option<&Report> {
        self.reports.iter().find(|r| r.name == name)
    }

    fn markdown(&self) -> String {
        let mut out = format!("# posthouse bench suite\n\n{}\n", self.machine.text());
        if self.args.short {
            out += "\nA short run: durations and counts divided by ten.\n";
        }
        out += "\n| scenario | measured | floor | |\n|---|---|---|---|\n";
        for row in &self.rows {
            let verdict = match row.ok {
                Some(true) => "ok",
                Some(false) => "**short**",
                None => "–",
            };
            let measured = row.measured.replace('|', "/").replace('\n', " ");
            let _ = writeln!(out, "| {} | {measured} | {} | {verdict} |", row.scenario, row.floor);
        }
        out += "\n";
        out += Report::MARKDOWN_HEAD;
        for report in &self.reports {
            out += &report.markdown_row();
        }
        let _ = writeln!(out, "\nWritten {}.", date());
        out
    }

    fn write(&self) -> anyhow::Result<()> {
        let path = &self.args.out;
        std::fs::write(path, self.markdown()).with_context(|| format!("cannot write {}", path.display()))?;
        if let Some(path) = &self.args.json {
            let lines = self.reports.iter().map(|r| Ok(serde_json::to_string(r)? + "\n"));
            std::fs::write(path, lines.collect::<anyhow::Result<String>>()?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
