//! The official SDK for Python, unmodified, against the shipped binary.

mod support;

use std::path::PathBuf;
use std::process::{Command, Output};

use support::app::TestApp;

/// The Python that has the SDKs: `POSTHOUSE_TEST_PYTHON`, or `.venv` of the repository.
fn python() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var_os("POSTHOUSE_TEST_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| root.join(".venv/bin/python"));
    assert!(
        python.exists(),
        "{} is missing: `make test` makes it (.ci/prepare installs the SDKs in .venv), or name another in \
         POSTHOUSE_TEST_PYTHON",
        python.display()
    );
    python
}

fn run(app: &TestApp, script: &str) -> Output {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script);
    let mut command = Command::new(python());
    command.arg(&script).env("POSTHOUSE_URL", app.url()).env("POSTHOUSE_KEY", &app.key);
    let output = command.output().expect("python starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}:\n{out}\n{err}", script.display());
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_drives_the_whole_way_of_a_message() {
    let app = TestApp::start_retrying().await;
    let output = run(&app, "tests/sdk/spine.py");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.trim_end().ends_with("all well"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstart_works_as_it_stands() {
    let app = TestApp::start().await;
    let output = run(&app, "examples/quickstart.py");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("the signature holds"), "{said}");
}
