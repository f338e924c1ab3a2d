//! Relying parties of other languages, through a login in headless Chromium; and the control page in it.
//!
//! `tests/clients/setup.sh` installs them. What is missing is said, and its tests are not run and not passed; with
//! `MOCK_IDP_REQUIRE_BROWSER=1`, as in CI, they fail.

#[path = "../support/running.rs"]
mod running;

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};

use running::Running;

/// A script, the interpreter that runs it, and what the mock is started with.
struct Case {
    name: &'static str,
    interpreter: &'static str,
    script: &'static str,
    profile: Option<&'static str>,
    path: &'static str,
}

const fn case(
    name: &'static str,
    interpreter: &'static str,
    script: &'static str,
    profile: Option<&'static str>,
    path: &'static str,
) -> Case {
    Case { name, interpreter, script, profile, path }
}

const CASES: [Case; 8] = [
    case("the_readme_is_true", "sh", "readme.sh", None, ""),
    case("openid_client_logs_in", "node", "openid_client.mjs", None, "/demo"),
    case("openid_client_logs_in_at_auth0", "node", "openid_client.mjs", Some("auth0"), ""),
    case("openid_client_logs_in_at_keycloak", "node", "openid_client.mjs", Some("keycloak"), "/realms/demo"),
    case("authlib_logs_in", ".venv/bin/python", "authlib_client.py", None, "/demo"),
    case(
        "authlib_logs_in_at_okta",
        ".venv/bin/python",
        "authlib_client.py",
        Some("okta-custom"),
        "/oauth2/default",
    ),
    case(
        "authlib_logs_in_at_keycloak",
        ".venv/bin/python",
        "authlib_client.py",
        Some("keycloak"),
        "/realms/demo",
    ),
    case("the_control_page_shows_a_fault_and_who_it_hit", "node", "control_page.mjs", None, "/demo"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// What a case lacks on this machine.
fn missing(case: &Case) -> Option<&'static str> {
    let there = |name: &str| folder().join(name).exists();
    if case.interpreter == "sh" {
        let curl = Command::new("curl").arg("--version").output().is_ok_and(|o| o.status.success());
        return (!curl).then_some("curl");
    }
    if !Path::new("/usr/bin/chromium").exists() {
        return Some("chromium (apt-get install chromium)");
    }
    if !there("node_modules/playwright-core") {
        return Some("the npm packages (mock-idp/tests/clients/setup.sh)");
    }
    let python = case.interpreter.contains("python");
    (python && !there(".venv/bin/python")).then_some("the Python packages (mock-idp/tests/clients/setup.sh)")
}

fn run(case: &Case) -> Result<(), Failed> {
    let flags: Vec<&str> = case.profile.map(|p| vec!["--profile", p]).unwrap_or_default();
    let mock = Running::start(&flags, &[]);
    let interpreter = if case.interpreter.contains('/') {
        folder().join(case.interpreter)
    } else {
        PathBuf::from(case.interpreter)
    };
    let issuer = format!("{}{}", mock.origin, case.path);
    let output = Command::new(interpreter).arg(case.script).arg(&issuer).current_dir(folder()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Err(said.into())
}

#[expect(clippy::print_stderr, reason = "what is not run has to be said loudly")]
fn main() {
    let required = std::env::var_os("MOCK_IDP_REQUIRE_BROWSER").is_some();
    let trials = CASES.iter().map(|case| {
        let lack = missing(case);
        if let Some(what) = lack {
            eprintln!("NOT RUN: {} lacks {what}", case.name);
        }
        Trial::test(case.name, move || match lack {
            Some(what) => Err(format!("NOT RUN: {what} is missing").into()),
            None => run(case),
        })
        .with_ignored_flag(lack.is_some() && !required)
    });
    let mut arguments = Arguments::from_args();
    // Two browsers at a time are enough for a small machine.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
