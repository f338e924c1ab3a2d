//! The program: flags, files, environment, reload, stop.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{client, part, text};
use crate::running::{Running, ended};

/// A file in a folder of its own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(name: &str, text: &str) -> (Self, String) {
        let folder = Self(tempfile::tempdir().unwrap());
        let path = folder.write(name, text);
        (folder, path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

async fn token(origin: &str, path: &str, form: &[(&str, &str)]) -> Value {
    let url = format!("{origin}{path}");
    client().post(url).basic_auth("app", Some("s")).form(form).send().await.unwrap().json().await.unwrap()
}

const MACHINE: [(&str, &str); 1] = [("grant_type", "client_credentials")];

#[tokio::test]
async fn it_starts_without_configuration_is_healthy_and_stops_in_peace() {
    let mut running = Running::start(&[], &[]);
    let answer = token(&running.origin, "/any/path/oauth2/token", &MACHINE).await;
    assert_eq!(part(text(&answer, "access_token"), 1)["iss"], format!("{}/any/path", running.origin));
    assert!(ended(&["healthcheck", "--port", running.port()], &[]).status.success());
    let pid = rustix::process::Pid::from_raw(running.child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(running.child.wait().unwrap().success());
    let dead = ended(&["healthcheck", "--port", running.port()], &[]);
    assert!(!dead.status.success() && String::from_utf8_lossy(&dead.stderr).contains("does not answer"));
}

#[tokio::test]
async fn it_speaks_tls_and_is_healthy() {
    let running = Running::start(&["--tls"], &[]);
    assert!(running.origin.starts_with("https://"));
    assert!(ended(&["healthcheck", "--port", running.port()], &[]).status.success());
}

fn says(arguments: &[&str], environment: &[(&str, &str)], expected: &[&str]) {
    let output = ended(arguments, environment);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in expected {
        assert!(said.contains(part), "{said}\nlacks {part}");
    }
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    says(&["--port", &port], &[], &["cannot listen on 127.0.0.1", "choose another port, or 0"]);
    says(&["--port", "0", "--host", "0.0.0.0"], &[], &["admin token"]);
    says(
        &["--port", "0", "--host", "no-such-host.invalid"],
        &[],
        &["no address of this machine", "--base-url"],
    );
    says(&["--port", "0", "--profile", "auth"], &[], &["no profile `auth`", "did you mean `auth0`"]);
    says(&["check", "--config", "/no/such/file.toml"], &[], &["cannot read `/no/such/file.toml`"]);
    let (_folder, path) = Folder::with("idp.toml", "port = 1\n\n[isuer]\nstrict = true\n");
    says(&["--config", &path], &[], &["idp.toml", "line 3", "did you mean `issuer`"]);
    let (_folder, path) = Folder::with("idp.toml", "[[faults]]\nfault = \"expird-token\"\n");
    says(&["--config", &path], &[], &["did you mean `expired-token`"]);
}

#[tokio::test]
async fn a_file_makes_clients_users_and_faults_in_each_format() {
    let toml = "[issuer]\nstrict = true\nclients = [{ id = \"app\", secret = \"s\" }]\n[issuer.token]\nlifetime = \"2m\"\n\
                [issuers.\"/special\".token]\nalg = \"ES256\"\n[[faults]]\nfault = \"token-type\"\nwith = { value = \"mac\" }\n";
    let yaml = "issuer:\n  strict: true\n  clients:\n    - {id: app, secret: s}\n  token: {lifetime: 2m}\n\
                issuers:\n  /special:\n    token: {alg: ES256}\nfaults:\n  - fault: token-type\n    with: {value: mac}\n";
    let json = json!({ "issuer": { "strict": true, "clients": [{ "id": "app", "secret": "s" }], "token": { "lifetime": 120 } },
        "issuers": { "/special": { "token": { "alg": "ES256" } } },
        "faults": [{ "fault": "token-type", "with": { "value": "mac" } }] })
    .to_string();
    for (name, content) in [("a.toml", toml), ("a.yaml", yaml), ("a.json", json.as_str())] {
        let (_folder, path) = Folder::with(name, content);
        let running = Running::start(&["--config", &path], &[]);
        let first = token(&running.origin, "/oauth2/token", &MACHINE).await;
        assert_eq!(
            (first["expires_in"].as_u64(), first["token_type"].as_str()),
            (Some(120), Some("mac")),
            "{name}"
        );
        let special = token(&running.origin, "/special/oauth2/token", &MACHINE).await;
        assert_eq!(part(text(&special, "access_token"), 0)["alg"], "ES256", "{name}");
        let wrong = client()
            .post(format!("{}/oauth2/token", running.origin))
            .basic_auth("app", Some("x"))
            .form(&MACHINE);
        assert_eq!(wrong.send().await.unwrap().status(), 401, "{name}");
    }
}

#[tokio::test]
async fn a_changed_file_is_reloaded_and_sessions_go_on() {
    let settings = |lifetime: u32| {
        format!("[issuer.login]\ninteractive = false\n[issuer.token]\nlifetime = {lifetime}\n")
    };
    let (folder, path) = Folder::with("idp.toml", &settings(100));
    let running = Running::start(&["--config", &path], &[]);
    let login = format!(
        "{}/a/authorize?client_id=app&redirect_uri=http://localhost/cb&response_type=code&scope=openid",
        running.origin
    );
    let back = client().get(&login).send().await.unwrap();
    let back = url::Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let code = back.query_pairs().find(|(n, _)| n == "code").unwrap().1.into_owned();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "http://localhost/cb"),
    ];
    let mut tokens = token(&running.origin, "/a/oauth2/token", &form).await;
    assert_eq!(tokens["expires_in"], 100);
    folder.write("idp.toml", &settings(200));
    let began = Instant::now();
    while tokens["expires_in"] == 100 {
        assert!(began.elapsed() < Duration::from_secs(10), "it is not reloaded");
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
        tokens = token(&running.origin, "/a/oauth2/token", &refresh).await;
    }
    assert_eq!(tokens["expires_in"], 200);
    // A file that is wrong changes nothing.
    folder.write("idp.toml", "nonsense = true\n");
    let again = token(&running.origin, "/a/oauth2/token", &MACHINE).await;
    assert_eq!(again["expires_in"], 200);
}

/// The example of navikt's documentation, with a clock and an algorithm.
const NAVIKT: &str = r#"{
  "interactiveLogin": false,
  "httpServer": "NettyWrapper",
  "tokenProvider": { "keyProvider": { "algorithm": "ES256" }, "systemTime": "2020-01-21T00:00:00Z" },
  "tokenCallbacks": [
    { "issuerId": "issuer1", "tokenExpiry": 120, "requestMappings": [
      { "requestParam": "scope", "match": "scope1.*", "claims": { "sub": "${clientId}", "aud": ["audByScope"] } } ] },
    { "issuerId": "issuer2", "requestMappings": [
      { "requestParam": "someparam", "match": "somevalue", "claims": { "sub": "subBySomeParam", "aud": ["x"] } } ] }
  ]
}"#;

#[tokio::test]
async fn json_config_of_navikt_is_taken_as_it_is() {
    let running = Running::start(&[], &[("JSON_CONFIG", NAVIKT)]);
    let mut form = MACHINE.to_vec();
    form.push(("scope", "scope1 b"));
    let answer = token(&running.origin, "/issuer1/token", &form).await;
    let claims = part(text(&answer, "access_token"), 1);
    assert_eq!((claims["sub"].as_str(), &claims["aud"]), (Some("app"), &json!(["audByScope"])));
    assert_eq!((claims["iat"].as_u64(), claims["exp"].as_u64()), (Some(1_579_564_800), Some(1_579_564_920)));
    assert_eq!(part(text(&answer, "access_token"), 0)["alg"], "ES256");
    let mut form = MACHINE.to_vec();
    form.push(("someparam", "somevalue"));
    let answer = token(&running.origin, "/issuer2/token", &form).await;
    assert_eq!(part(text(&answer, "access_token"), 1)["sub"], "subBySomeParam");
    let (_folder, path) = Folder::with("config.json", NAVIKT);
    let running = Running::start(&[], &[("JSON_CONFIG_PATH", &path)]);
    assert_eq!(token(&running.origin, "/issuer1/token", &MACHINE).await["expires_in"], 120);
}

/// A key of RFC 7515, appendix A.3: everybody knows it, so it is no secret.
const KEY: &str = r#"{"kty":"EC","crv":"P-256","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

#[tokio::test]
async fn keys_and_pages_of_navikt_are_used() {
    let (folder, page) =
        Folder::with("login.html", "<form method=post><input name=username><link href=/static/a.css></form>");
    folder.write("a.css", "body {}");
    let config = json!({
        "interactiveLogin": true, "loginPagePath": page, "staticAssetsPath": folder.0.path(),
        "tokenProvider": { "keyProvider": { "initialKeys": KEY, "algorithm": "ES256" } },
    });
    let running = Running::start(&[], &[("JSON_CONFIG", &config.to_string())]);
    let get = async |path: &str| client().get(format!("{}{path}", running.origin)).send().await.unwrap();
    let keys: Value = get("/a/jwks").await.json().await.unwrap();
    assert_eq!(keys["keys"][0]["x"], serde_json::from_str::<Value>(KEY).unwrap()["x"]);
    assert_eq!(get("/static/a.css").await.headers()["content-type"], "text/css; charset=utf-8");
    for outside in ["/static/..%2f..%2fetc/passwd", "/static/%2fetc/passwd", "/static/none"] {
        assert_eq!(get(outside).await.status(), 404, "{outside}");
    }
    let login = "/a/authorize?client_id=app&redirect_uri=http://localhost/cb&response_type=code";
    assert!(get(login).await.text().await.unwrap().contains("/static/a.css"));
    let sent = client()
        .post(format!("{}{login}", running.origin))
        .form(&[("username", "bob")])
        .send()
        .await
        .unwrap();
    assert!(sent.headers()["location"].to_str().unwrap().contains("code="));
}

#[test]
fn the_help_is_a_tour() {
    let help = String::from_utf8(ended(&["--help"], &[]).stdout).unwrap();
    for part in ["curl -u app:secret", "Log in", "Break it", "See what your client did", "--profile"] {
        assert!(help.contains(part), "{help}");
    }
    let faults = String::from_utf8(ended(&["faults"], &[]).stdout).unwrap();
    assert!(faults.contains("T01  expired-token"));
}
