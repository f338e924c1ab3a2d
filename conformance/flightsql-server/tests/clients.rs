//! Clients that others wrote, at pinned versions: every command that they know, against the program. `clients/run.py` drives
//! them; TABLE.md must be what comes out.
//!
//! A client whose tool is missing is shown as ignored, with the reason in its name, and on CI it fails: it never counts as
//! passed.

use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};

const NAME: &str = "clients of others: every command, as TABLE.md says";
/// What `clients/run.py` ends with when a client could not be run.
const NOT_RUN: i32 = 2;

fn main() {
    let arguments = Arguments::from_args();
    // Nobody waits minutes for a test that was only listed, or not asked for.
    if arguments.list || arguments.filter.as_ref().is_some_and(|part| !NAME.contains(part.as_str())) {
        let unasked = Trial::test(NAME, || Err("it was not asked for".into()));
        libtest_mimic::run(&arguments, vec![unasked]).exit();
    }
    let script = clients().join("run.py");
    let trial = match Command::new("python3").arg("--version").output() {
        Err(_) => not_run("`python3` is not on PATH".to_owned()),
        Ok(_) => {
            let mut command = Command::new("python3");
            command.arg(script).args(["--check", "--server", env!("CARGO_BIN_EXE_flightsql-server")]);
            let done = command.output().expect("python3 is there");
            let said = format!("{}{}", text(&done.stdout), text(&done.stderr));
            match done.status.code() {
                Some(NOT_RUN) => not_run(said),
                code => {
                    Trial::test(NAME, move || if code == Some(0) { Ok(()) } else { Err(Failed::from(said)) })
                }
            }
        }
    };
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

fn not_run(why: String) -> Trial {
    let reason = why.lines().find_map(|line| line.strip_prefix("NOT RUN: ")).unwrap_or(&why);
    let name = format!("clients of others: NOT RUN: {reason}");
    if std::env::var_os("CI").is_some() {
        return Trial::test(name, move || Err(why.into()));
    }
    Trial::test(name, || Ok(())).with_ignored_flag(true)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn clients() -> PathBuf {
    // At run time: a target folder that several clones share may hold a test that another clone has built.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.join("clients")
}
