//! Real clients, as released: their verdicts are pinned by their known-failures lists.
//!
//! A client whose tool is missing is shown as ignored, with the reason in its name, and on CI it fails: it never counts as
//! passed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::{Arguments, Failed, Trial};

/// Folder, the tool that it needs, its tests.
type Client = (&'static str, &'static str, fn() -> Vec<Trial>);

fn main() {
    let mut trials = Vec::new();
    let clients: [Client; 3] = [
        ("adbc-python", "python3", adbc_python),
        ("grafana-go", "go", grafana_go),
        ("otel-python", "python3", otel_python),
    ];
    for (adapter, tool, trials_of) in clients {
        let folder = adapters().join(adapter);
        match ready(&folder, tool) {
            Ok(()) => trials.extend(trials_of()),
            Err(missing) if std::env::var_os("CI").is_some() => {
                trials
                    .push(Trial::test(format!("{adapter}: NOT RUN: {missing}"), move || Err(missing.into())));
            }
            Err(missing) => trials.push(
                Trial::test(format!("{adapter}: NOT RUN: {missing}"), || Ok(())).with_ignored_flag(true),
            ),
        }
    }
    let mut arguments = Arguments::from_args();
    // Their scenarios stand at moments in time: one client at a time.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit();
}

fn adapters() -> PathBuf {
    // At run time: a target folder that several clones share may hold a test that another clone has built.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.join("../adapters")
}

/// Installs the client if its tool is here.
fn ready(folder: &Path, tool: &str) -> Result<(), String> {
    // Whatever a tool says to this: that it can be started is what counts.
    if Command::new(tool).arg("--version").output().is_err() {
        return Err(format!("`{tool}` is not on PATH"));
    }
    let setup = Command::new("bash").arg(folder.join("setup.sh")).output().map_err(|e| e.to_string())?;
    if setup.status.success() {
        return Ok(());
    }
    let last = String::from_utf8_lossy(&setup.stderr).lines().last().unwrap_or_default().to_owned();
    Err(format!("its set-up script failed: {last}"))
}

/// A list pins failures and warnings: one that comes or goes is no longer exit code 0.
fn pinned(adapter: &'static str, more_args: &'static [&'static str]) -> Trial {
    Trial::test(format!("{adapter}: verdicts are exactly those that are listed"), move || {
        let list = list(adapter);
        let args = [&["--known-failures", &list], more_args].concat();
        expect(&flightcheck(adapter, &args), 0, "conformant (exit 0)")
    })
}

/// Its list holds SHOULDs only: so they are denied, to be pinned.
fn grafana_go() -> Vec<Trial> {
    let adapter = "grafana-go";
    vec![
        pinned(adapter, &["--deny", "should"]),
        Trial::test(format!("{adapter}: without its list its warnings are denied"), move || {
            let args = ["--deny", "should", "--run", "token-response/zero-expires-in"];
            expect(&flightcheck(adapter, &args), 1, "not conformant (exit 1)")
        }),
        Trial::test(format!("{adapter}: it loads every saved shape as its file says"), move || {
            let tested =
                Command::new("go").args(["test", "."]).current_dir(adapters().join(adapter)).output()?;
            expect(&tested, 0, "ok")
        }),
    ]
}

/// Its list holds SHOULDs only: so they are denied, to be pinned.
fn otel_python() -> Vec<Trial> {
    let adapter = "otel-python";
    vec![
        pinned(adapter, &["--deny", "should"]),
        Trial::test(format!("{adapter}: without its list its warnings are denied"), move || {
            let args = ["--deny", "should", "--run", "http-resource/unauthorized-refetches-once"];
            expect(&flightcheck(adapter, &args), 1, "not conformant (exit 1)")
        }),
    ]
}

fn adbc_python() -> Vec<Trial> {
    let adapter = "adbc-python";
    vec![
        pinned(adapter, &[]),
        Trial::test(format!("{adapter}: without its list it is not conformant"), move || {
            expect(&flightcheck(adapter, &["--run", "expiry/*"]), 1, "not conformant (exit 1)")
        }),
        Trial::test(format!("{adapter}: a stale entry is exit code 4"), move || {
            let folder = tempfile::tempdir()?;
            let stale = folder.path().join("stale.toml");
            let more = "[[known]]\ncheck = \"token-request/works-with-basic-only-issuer#*\"\nreason = \"stale\"\ndate = \"2026-11-24\"\n";
            std::fs::write(&stale, format!("{}\n{more}", std::fs::read_to_string(list(adapter))?))?;
            let stale = stale.display().to_string();
            let args = ["--run", "token-request/works-with-basic-only-issuer", "--known-failures", &stale];
            expect(&flightcheck(adapter, &args), 4, "take it off the list")
        }),
    ]
}

fn list(adapter: &str) -> String {
    adapters().join(adapter).join("known-failures.toml").display().to_string()
}

fn flightcheck(adapter: &str, args: &[&str]) -> Output {
    let folder = adapters().join(adapter);
    let mut command = Command::new(env!("CARGO_BIN_EXE_flightcheck"));
    command.arg("run").arg(folder).args(args).env("NO_COLOR", "1").output().expect("it runs")
}

fn expect(output: &Output, code: i32, part: &str) -> Result<(), Failed> {
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(code) && text.contains(part) {
        return Ok(());
    }
    let err = String::from_utf8_lossy(&output.stderr);
    Err(format!("expected exit {code} and `{part}`, found {:?}:\n{text}\n{err}", output.status.code()).into())
}
