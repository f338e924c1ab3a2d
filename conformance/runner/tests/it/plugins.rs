//! Grafana plugins as they come: what keeps one from starting is said clearly; one that misbehaves gets no verdict.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Answer, ONE, flightcheck, folder, write};

const LOOKS_RIGHT: &str = "trap '' TERM; echo '1|2|unix|/nowhere|grpc|'; exec sleep 1000";

/// A shell script as plugin: its folder with a `plugin.json`, as it would be released.
fn plugin(folder: &Path, script: &str) -> PathBuf {
    let name = format!("gpx_fake_{}", platform());
    write(
        folder,
        "p/plugin.json",
        r#"{"id":"fake-datasource","executable":"gpx_fake","info":{"version":"1.2.3"}}"#,
    );
    write(folder, &format!("p/{name}"), &format!("#!/bin/sh\n{script}\n"));
    let path = folder.join("p").join(name);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("it was just written");
    path
}

fn platform() -> String {
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    format!("linux_{arch}")
}

/// A run of one scenario that needs no more than a token.
fn run(folder: &Path, subject: &str) -> Answer {
    flightcheck(folder, &[&["run", subject], &ONE[..]].concat())
}

#[track_caller]
fn check(script: &str, parts: &[&str]) {
    let folder = folder();
    plugin(folder.path(), script);
    run(folder.path(), "p").must_say(2, &[&["plugin `fake-datasource` does not get ready"], parts].concat());
}

#[test]
fn what_grafana_could_not_work_with_is_named() {
    check("echo hello; exec sleep 1000", &["its first line on stdout is `hello`", "datasource.Manage"]);
    check(
        "echo '1|1|unix|/s|grpc|'; exec sleep 1000",
        &["version 1 of the plugin protocol, Grafana speaks 2"],
    );
    check("echo '1|2|unix|/s|grpc|MIIB'; exec sleep 1000", &["AutoMTLS"]);
    check("echo '1|2|unix|/s|netrpc|'; exec sleep 1000", &["serves `netrpc`"]);
    check(LOOKS_RIGHT, &["listens on `/nowhere`, but cannot be reached there: No such file"]);
}

#[test]
fn a_plugin_that_ends_or_hangs_at_its_start_is_named_with_what_it_printed() {
    check("echo 'no such module' >&2; exit 3", &["it ended with code 3", "stderr: no such module"]);
    check("kill -SEGV $$", &["it ended by signal 11"]);
    check(
        "echo 'still thinking' >&2; exec sleep 1000",
        &["no handshake within 20 s", "stderr: still thinking"],
    );
}

#[test]
fn it_is_given_the_environment_that_grafana_gives() {
    check(
        "echo \"$grafana_plugin_type ${PLUGIN_CLIENT_CERT-unset} $PLUGIN_PROTOCOL_VERSIONS\" >&2; test -f \"$SSL_CERT_FILE\" && test -d \"$PLUGIN_UNIX_SOCKET_DIR\" && exit 7",
        &["it ended with code 7", "datasource unset 2"],
    );
}

#[test]
fn a_plugin_for_another_platform_is_named() {
    let folder = folder();
    let path = plugin(folder.path(), "exit 0");
    std::fs::rename(&path, folder.path().join("p/gpx_fake_plan9_mips")).expect("it is there");
    run(folder.path(), "p")
        .must_say(2, &["no executable for this platform", &platform(), "there is `gpx_fake_plan9_mips`"]);
    write(folder.path(), "alien", "\x7fELF, but not of this world");
    let alien = folder.path().join("alien");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(alien, mode).expect("it was just written");
    run(folder.path(), "./alien").must_say(2, &["it is for another platform: this is linux/"]);
}

#[test]
fn a_folder_or_zip_that_is_no_plugin_is_named() {
    let folder = folder();
    write(folder.path(), "broken.zip", "PK\x03\x04 and nothing more");
    run(folder.path(), "broken.zip").must_say(2, &["cannot unpack `broken.zip`"]);
    write(folder.path(), "p/plugin.json", "{}");
    run(folder.path(), "p").must_say(2, &["plugin.json` is not understood: missing field `id`"]);
    write(folder.path(), "p/plugin.json", r#"{"id":"frontend-panel"}"#);
    run(folder.path(), "p").must_say(2, &["plugin `frontend-panel` has no backend"]);
}

#[test]
fn init_writes_a_manifest_after_looking_at_the_plugin_and_never_over_another() {
    let folder = folder();
    plugin(folder.path(), "# selectedAuthType oauthIssuer oauthClientId oauthClientSecret\nexit 3");
    let init = || flightcheck(folder.path(), &["init", "p"]);
    init().must_say(0, &["plugin `fake-datasource`, version 1.2.3", "does not hold `oauthAudience`"]);
    let text = std::fs::read_to_string(folder.path().join("subject.toml")).expect("it was written");
    assert!(
        text.contains("command = [\"./p\"]") && text.contains("# not in this plugin: \"oauth.audience\""),
        "{text}"
    );
    init().must_say(2, &["`subject.toml` is there already"]);
    run(folder.path(), ".").must_say(2, &["does not get ready: it ended with code 3"]);
}

/// Grafana's own plugin kit, arrow-go and golang.org/x/oauth2; built by its set-up script.
mod go {
    use super::*;

    /// The plugin's folder. Without Go there is nothing to say: that is a failure, never a pass.
    fn built() -> PathBuf {
        let adapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/grafana-go");
        let adapter = adapter.canonicalize().expect("it is part of the repository");
        let script = Command::new("bash").arg(adapter.join("setup.sh")).output().expect("bash is there");
        let said = String::from_utf8_lossy(&script.stderr).into_owned();
        assert!(script.status.success(), "NOT RUN: the Go plugin could not be built: {said}");
        adapter.join("dist")
    }

    fn executable() -> String {
        built().join(format!("gpx_flightsql_{}", platform())).display().to_string()
    }

    #[test]
    fn folder_zip_and_executable_are_the_same_plugin() {
        let folder = folder();
        let dist = built();
        let say = |subject: &str, parts: &[&str]| {
            run(folder.path(), subject).must_say(0, &[&["verdict       conformant"], parts].concat());
        };
        say(&dist.display().to_string(), &["subject       flightcheck-flightsql-datasource 0.1.0"]);
        say(&executable(), &["subject       flightcheck-flightsql-datasource 0.1.0"]);
        let zip = Command::new("python3")
            .args(["-m", "zipfile", "-c"])
            .arg(folder.path().join("released.zip"))
            .arg(&dist)
            .status();
        assert!(zip.expect("python3 is there").success());
        say("released.zip", &["subject       flightcheck-flightsql-datasource 0.1.0"]);
    }

    #[test]
    fn a_flood_of_100_mb_on_stderr_neither_blocks_the_plugin_nor_us() {
        let folder = folder();
        let flood = format!("yes {} | head -c 104857600 >&2", "flooding".repeat(100));
        plugin(folder.path(), &format!("{flood}\nexec {}", executable()));
        let manifest = folder.path().join("subject.toml");
        std::fs::write(&manifest, with_command("./p")).expect("it can be written");
        run(folder.path(), ".").must_say(0, &["verdict       conformant"]);
    }

    #[test]
    fn a_plugin_that_is_killed_in_mid_run_fails_what_was_open_and_the_run_goes_on() {
        let folder = folder();
        // The first process is greeted; the second serves the run and dies when it is in the middle of it.
        let script = format!(
            "mkdir greeted 2>/dev/null || (mkdir served 2>/dev/null && (sleep 3; kill -9 $$) >/dev/null 2>&1 &)\nexec {}",
            executable()
        );
        plugin(folder.path(), &script);
        std::fs::write(folder.path().join("subject.toml"), with_command("./p")).expect("it can be written");
        let pattern = "timeouts/hang[endpoint=discovery,how=accept-then-silence]";
        let answer = flightcheck(folder.path(), &["run", ".", "--run", pattern, "--run", ONE[1]]);
        answer.must_say(1, &["the subject was gone before it answered", "process ended by signal 9"]);
        answer.must_say(1, &["1 fail"]);
    }

    fn with_command(command: &str) -> String {
        let adapter = built().parent().expect("it has one").join("subject.toml");
        let text = std::fs::read_to_string(adapter).expect("it is part of the repository");
        text.replace("[\"dist\"]", &format!("[\"{command}\"]"))
    }

    #[test]
    fn all_its_verdicts_are_those_that_are_checked_in() {
        let folder = folder();
        let adapter = built().parent().expect("it has one").to_owned();
        let list = adapter.join("known-failures.toml").display().to_string();
        let subject = adapter.display().to_string();
        flightcheck(
            folder.path(),
            &["run", &subject, "--deny", "should", "--known-failures", &list, "--jobs", "8"],
        )
        .must_say(0, &["verdict       conformant", "8 known-failure"]);
    }
}
