//! Grafana plugins as they come: what keeps one from starting is said clearly; one that misbehaves gets no verdict.

use std::path::{Path, PathBuf};

use plugin_protocol::pluginv2::data_server::{Data, DataServer};
use plugin_protocol::pluginv2::{DataResponse, QueryDataRequest, QueryDataResponse};
use tonic::transport::server::TcpIncoming;

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

#[test]
fn saved_settings_that_will_break_are_named() {
    let folder = folder();
    let yaml = "apiVersion: 1\ndatasources:\n  - name: Flight\n    type: x-flightsql-datasource\n    jsonData:\n      host: h:1\n      secure: false\n      selectedAuthType: oauth2\n      oauthIssuer: https://i\n      username: false\n    secureJsonData:\n      token: $OLD\n      oauthClientSecret: abc\n";
    write(folder.path(), "flight.yaml", yaml);
    let lint = |file: &str| flightcheck(folder.path(), &["lint-settings", file]);
    lint("flight.yaml").must_say(
        1,
        &[
            "flight.yaml: Flight: partial-oauth: oauth2 is chosen, but `oauthClientId` is missing",
            "Flight: oauth-without-tls",
            "Flight: stale-field: `token` is left",
            "Flight: secret-in-file: `oauthClientSecret`",
            "Flight: wrong-type: `username` must be text",
            "1 data sources, 5 problems",
        ],
    );
    assert!(!lint("flight.yaml").out.contains("abc"), "no secret is shown");
    let good =
        r#"{"name":"F","type":"x-flightsql-datasource","jsonData":{"host":"h:1","selectedAuthType":"none"}}"#;
    write(folder.path(), "good.json", good);
    lint("good.json").must_say(0, &["1 data sources, 0 problems"]);
    write(folder.path(), "other.json", r#"{"name":"P","type":"prometheus"}"#);
    lint("other.json").must_say(2, &["holds no Flight SQL data source"]);
    write(folder.path(), "broken.yaml", "a: [");
    lint("broken.yaml").must_say(2, &["`broken.yaml` is not understood"]);
}

/// A plugin over TCP whose frames are not Arrow.
struct Garbage;

#[tonic::async_trait]
impl Data for Garbage {
    async fn query_data(
        &self,
        _: tonic::Request<QueryDataRequest>,
    ) -> Result<tonic::Response<QueryDataResponse>, tonic::Status> {
        let one =
            DataResponse { frames: vec![b"{\"rows\":1}".to_vec()], status: 200, ..DataResponse::default() };
        Ok(tonic::Response::new(QueryDataResponse { responses: [("A".to_owned(), one)].into() }))
    }
}

#[test]
fn frames_that_are_not_arrow_are_no_success() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let server = tonic::transport::Server::builder().add_service(DataServer::new(Garbage));
    runtime.spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let folder = folder();
    plugin(folder.path(), &format!("echo '1|2|tcp|{address}|grpc|'; exec sleep 1000"));
    let answer = run(folder.path(), "p");
    answer.must_say(1, &["frame 0 of the answer is no Arrow IPC file", "not conformant"]);
    assert!(!answer.out.contains(" pass"), "{}", answer.out);
}

/// The reference client as a plugin, in a process of its own.
mod reference {
    use super::*;

    /// As a released plugin: a script that does something first, and holds the names of all settings.
    fn released(folder: &Path, before: &str) {
        let settings = "selectedAuthType oauthIssuer oauthClientId oauthClientSecret oauthAudience enableUserAttribution /columns /sql-info";
        let program = assert_cmd::cargo::cargo_bin!("flightcheck");
        plugin(folder, &format!("# {settings}\n{before}\nexec {} reference-client", program.display()));
    }

    #[test]
    fn folder_zip_and_executable_are_the_same_plugin() {
        let folder = folder();
        released(folder.path(), "");
        let zip = std::process::Command::new("python3")
            .args(["-m", "zipfile", "-c", "released.zip", "p"])
            .current_dir(folder.path())
            .status();
        assert!(zip.expect("python3 is there").success());
        let executable = format!("p/gpx_fake_{}", platform());
        for subject in ["p", "./p", "released.zip", &executable] {
            run(folder.path(), subject)
                .must_say(0, &["verdict       conformant", "subject       fake-datasource 1.2.3"]);
        }
    }

    #[test]
    fn a_flood_of_100_mb_on_stderr_neither_blocks_the_plugin_nor_us() {
        let folder = folder();
        released(folder.path(), &format!("yes {} | head -c 104857600 >&2", "flooding".repeat(100)));
        run(folder.path(), "p").must_say(0, &["verdict       conformant"]);
    }

    #[test]
    fn a_plugin_that_is_killed_in_mid_run_fails_what_was_open_and_the_run_goes_on() {
        let folder = folder();
        // The first process is greeted; the second serves the run, and dies once a token request of it hangs.
        let killer = "mkdir greeted 2>/dev/null || (mkdir served 2>/dev/null && (sleep 3; kill -9 $$) >/dev/null 2>&1 &)";
        released(folder.path(), killer);
        let pattern = "timeouts/hang[endpoint=discovery,how=accept-then-silence]";
        let answer = flightcheck(folder.path(), &["run", "p", "--run", pattern, "--run", ONE[1]]);
        answer.must_say(
            1,
            &["the subject was gone before it answered", "process ended by signal 9", "1 pass", "1 fail"],
        );
    }

    #[test]
    fn it_passes_everything_and_all_permutations_share_one_process() {
        let folder = folder();
        let files = ["--json", "r.json", "--bundle", "b.jsonl", "--jobs", "6"];
        flightcheck(folder.path(), &[&["run", "reference-plugin"], &files[..]].concat())
            .must_say(0, &["verdict       conformant (exit 0)"]);
        let report = std::fs::read_to_string(folder.path().join("r.json")).expect("it was written");
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        let rows = report["rows"].as_array().expect("rows").len();
        // It has no option for a scope, is not told of deadlines, and shares its process: that alone does not apply.
        let counts = &report["permutations"];
        let others = counts["not-applicable"].as_u64().expect("a count") as usize;
        let passed = rows - others;
        assert!(passed >= 500 && others < 30, "{counts}");
        let expected = serde_json::json!({ "not-applicable": others, "pass": passed });
        assert_eq!(report["permutations"], expected);
        // A datasource id of its own for each, which one process alone can give.
        let bundle = std::fs::read_to_string(folder.path().join("b.jsonl")).expect("it was written");
        let mut exits: Vec<(String, u32)> = Vec::new();
        for line in bundle.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        {
            match (line["line"].as_str(), line["kind"].as_str()) {
                (Some("permutation"), _) => exits.push((line["id"].as_str().expect("a name").to_owned(), 0)),
                (_, Some("subject.exit")) => exits.last_mut().expect("a permutation came before").1 += 1,
                _ => {}
            }
        }
        assert_eq!(exits.len(), passed);
        // Where the subject is restarted it ends more than once.
        let once = |id: &str| !id.starts_with("token-caching/token-is-not-persisted");
        let wrong: Vec<_> = exits.iter().filter(|(id, n)| *n == 0 || (once(id) && *n != 1)).collect();
        assert!(wrong.is_empty(), "each knows how the process ended, once: {wrong:?}");
        flightcheck(folder.path(), &["judge", "b.jsonl"]).must_say(0, &[&format!("{passed} pass")]);
    }

    #[test]
    fn sixty_data_sources_at_once_do_not_mix() {
        let folder = folder();
        let patterns = ["--run", "token-request/*", "--run", "partial-config/*", "--run", "attribution/*"];
        let args = [&["run", "reference-plugin", "--jobs", "60"], &patterns[..]].concat();
        flightcheck(folder.path(), &args).must_say(0, &["verdict       conformant (exit 0)"]);
        let args = [&args[..], &["--defect", "shared-too-broadly"]].concat();
        flightcheck(folder.path(), &args).must_say(1, &["not conformant"]);
    }

    #[test]
    fn a_death_that_one_scenario_causes_is_that_ones_alone() {
        let folder = folder();
        let args = ["run", "reference-plugin", "--defect", "segv", "--run", ONE[1]];
        flightcheck(folder.path(), &args).must_say(1, &["process ended by signal 11"]);
    }

    #[test]
    fn defects_of_the_process_are_seen_on_a_plugin() {
        let defect = |name: &str, part: &str| {
            let folder = folder();
            let args = ["run", "reference-plugin", "--defect", name, "--run", ONE[1]];
            flightcheck(folder.path(), &args).must_say(1, &[part]);
        };
        defect("orphan", "rules#ends-cleanly");
        defect("nonzero-exit", "rules#ends-cleanly");
        defect("lingers", "rules#ends-cleanly");
        defect("noise", "rules#speaks-the-protocol");
        defect("liar", "not-testable");
        defect("null", "not-testable");
    }
}
