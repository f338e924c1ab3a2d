//! `subject.toml`: how a client is started, what it calls its options, what it declares.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::SubjectKind;
use crate::diagnostic::{Diagnostic, FileErrors, word_help};
use crate::document::Document;
use crate::moment::Seconds;
use crate::scenario::{Auth, Need, Surface};

/// The form of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form: 1.
    pub schema: u32,
    /// The subject's name in reports.
    pub name: String,
    /// Who makes it.
    pub vendor: Option<String>,
    /// The version that is under test, if the subject does not say it in `hello`.
    pub version: Option<String>,
    /// How it is driven.
    pub drive: Drive,
    /// What it is, if it is neither a Flight SQL client nor a server: `http-client`.
    pub kind: Option<SubjectKind>,
    /// Program and arguments; a program with a slash is relative to the manifest's folder. For a Grafana plugin: its binary,
    /// its folder or its zip.
    pub command: Vec<String>,
    /// Environment that it is given beside ours.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How it learns the suite's throw-away CA.
    #[serde(default)]
    pub trust: Trust,
    /// Neutral key to native option.
    #[serde(default)]
    pub options: BTreeMap<String, NativeOption>,
    /// What it can do; what is not declared is not applicable.
    #[serde(default)]
    pub declares: Declares,
    /// Faces on which queries can be made.
    #[serde(default)]
    pub surfaces: BTreeMap<Surface, bool>,
    /// What it calls things in its messages.
    #[serde(default)]
    pub words: BTreeMap<String, Vec<String>>,
    /// Of a server: how it is reached, and what it documents.
    pub server: Option<ServerUnderTest>,
}

/// A server under test: how it is reached, and what it documents. In `command` and `env` of the manifest stand `{issuer}`,
/// `{discovery}`, `{jwks}`, `{audience}`, `{ca.pem}`, `{cert.pem}`, `{key.pem}` and `{port}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerUnderTest {
    /// Where it listens: `grpc+tls://127.0.0.1:{port}` with a port that the runner finds free, or `stdout`: the first such
    /// address that it prints.
    pub address: String,
    /// A query that everybody may make and that has rows.
    #[serde(default = "select_one")]
    pub sql: String,
    /// How far clocks may differ, as it documents.
    #[serde(default = "no_leeway")]
    pub leeway: Seconds,
    /// When it fetches the issuer's keys.
    #[serde(default)]
    pub keys: KeysFetched,
    /// How long it may take until it listens.
    #[serde(default = "start_limit")]
    pub start: Seconds,
}

fn select_one() -> String {
    "SELECT 1".to_owned()
}

fn no_leeway() -> Seconds {
    Seconds(0.0)
}

fn start_limit() -> Seconds {
    Seconds(20.0)
}

/// When a server fetches the issuer's keys first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeysFetched {
    /// When a token comes.
    #[default]
    OnDemand,
    /// When it starts: without the issuer it does not.
    AtStart,
}

/// How a subject is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drive {
    /// JSON lines on stdin and stdout.
    Stdio,
    /// A Grafana backend data source, as Grafana drives it.
    GrafanaPlugin,
    /// A Flight SQL server that trusts the issuer; the runner is its client.
    Server,
}

/// How a subject learns the suite's throw-away CA; `{ca.pem}` is the path of the file, `{ca.text}` its text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// As native options.
    pub option: BTreeMap<String, String>,
    /// As environment.
    pub env: BTreeMap<String, String>,
}

/// One native option.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NativeOption {
    /// Its name. For a Grafana plugin the place in a saved data source: `jsonData.host`, `secureJsonData.token`, `url`.
    /// The option for `headers` is set once for each header if its name has `{name}` in it.
    pub native: String,
    /// Its value; the neutral value unless said. Text is a template with `{value}`, `{host}`, `{port}`; a bool or a number
    /// stays what it is. For `headers` it may be a list with one template, made for each header: `[{ "{name}" = "{value}" }]`.
    pub value: Option<Value>,
    /// Its value for a server without TLS.
    pub plaintext: Option<Value>,
    /// It holds a secret.
    #[serde(default)]
    pub secret: bool,
}

/// What a subject can do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declares {
    /// OAuth 2.0 client credentials.
    pub oauth: Option<OauthDeclared>,
    /// Whether it speaks to servers without TLS.
    pub tls: TlsDeclared,
    /// It can be told for which user a query is.
    #[serde(default)]
    pub users: bool,
    /// A query can be given a deadline.
    #[serde(default)]
    pub deadlines: bool,
}

/// What a subject can do with OAuth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OauthDeclared {
    /// It finds the token endpoint by discovery from the issuer.
    pub discovery: bool,
}

/// Whether a subject speaks to servers without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsDeclared {
    /// With TLS only, if credentials are used.
    #[default]
    Required,
    /// With and without.
    Optional,
}

/// Every neutral key that the runner knows.
pub const NEUTRAL_KEYS: [&str; 18] = [
    "server.uri",
    "server.tls",
    "auth.none",
    "oauth",
    "auth.token",
    "auth.basic",
    "oauth.issuer",
    "oauth.token_url",
    "oauth.client_id",
    "oauth.client_secret",
    "oauth.scope",
    "oauth.audience",
    "basic.username",
    "basic.password",
    "token",
    "attribution.on",
    "attribution.off",
    "headers",
];

/// What of a saved data source is neither in `jsonData` nor in `secureJsonData`.
const DATA_SOURCE_FIELDS: [&str; 5] = ["url", "user", "database", "basicAuthEnabled", "basicAuthUser"];

impl ServerUnderTest {
    fn is_reachable(&self) -> bool {
        let own =
            |scheme| self.address.strip_prefix(scheme).is_some_and(|rest: &str| rest.ends_with(":{port}"));
        self.address == "stdout" || own("grpc+tls://") || own("grpc://")
    }
}

impl NativeOption {
    /// The option has a place in a saved data source.
    fn is_in_a_data_source(&self) -> bool {
        let inner = |of: &str| self.native.strip_prefix(of).is_some_and(|rest| !rest.is_empty());
        inner("jsonData.") || inner("secureJsonData.") || DATA_SOURCE_FIELDS.contains(&self.native.as_str())
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Every mistake of the file, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, FileErrors> {
        let document = Document::parse(file, text)?;
        let manifest: Self = document.read_all()?;
        let mut wrong = Vec::new();
        let mut said = |at: &str, message: String, help: &str| {
            wrong.push(Diagnostic::new(document.span(at), message).with_help(help));
        };
        if manifest.schema != 1 {
            said(
                "/schema",
                format!("this version reads schema 1, not {}", manifest.schema),
                "write `schema = 1`",
            );
        }
        if manifest.command.first().is_none_or(|program| program.trim().is_empty()) {
            said(
                "/command",
                "`command` is empty".into(),
                "name the program and its arguments: `[\"python\", \"adapter.py\"]`",
            );
        }
        if manifest.kind.is_some_and(|kind| kind != manifest.kind() || kind == SubjectKind::FlightServer) {
            said(
                "/kind",
                "`kind` does not go with `drive`".into(),
                "only a subject with `drive = \"stdio\"` can be `kind = \"http-client\"`",
            );
        }
        let is_server = manifest.drive == Drive::Server;
        if is_server != manifest.server.is_some() {
            let message = if is_server {
                "`[server]` is missing"
            } else {
                "`[server]` belongs to `drive = \"server\"`"
            };
            said("/drive", message.into(), "a server says there where it listens");
        }
        if is_server && !(manifest.options.is_empty() && manifest.surfaces.is_empty()) {
            said(
                "/drive",
                "a server has no `[options]` and no `[surfaces]`".into(),
                "its settings are in `command` and `env`",
            );
        }
        if let Some(server) = manifest.server.as_ref().filter(|s| !s.is_reachable()) {
            said(
                "/server/address",
                format!("`{}` is no address", server.address),
                "write `stdout`, `grpc+tls://127.0.0.1:{port}` or `grpc://127.0.0.1:{port}`",
            );
        }
        let text = || document.value.to_string();
        if manifest.server.as_ref().is_some_and(|s| s.address != "stdout")
            && !text().replacen("{port}", "", 1).contains("{port}")
        {
            said(
                "/command",
                "nothing tells the server its port".into(),
                "put `{port}` into `command` or `env`",
            );
        }
        if !is_server && document.value.get("declares").is_none() {
            said("", "missing key `declares`".into(), "`[declares]` says what the client can do");
        }
        if !is_server && document.value.get("options").is_none() {
            said("", "missing key `options`".into(), "`[options]` says what the client calls its settings");
        }
        if !is_server && !manifest.options.contains_key("server.uri") {
            said("/options", "`server.uri` is missing".into(), "the client must be told where the server is");
        }
        if let Some(declared) = &manifest.declares.oauth {
            let endpoint = if declared.discovery { "oauth.issuer" } else { "oauth.token_url" };
            for key in [endpoint, "oauth.client_id", "oauth.client_secret"] {
                if !manifest.options.contains_key(key) {
                    said(
                        "/declares/oauth",
                        format!("OAuth is declared, but `[options]` has no `{key}`"),
                        "add it, or do not declare `oauth`",
                    );
                }
            }
        }
        if manifest.drive == Drive::GrafanaPlugin {
            for (key, option) in manifest.options.iter().filter(|(_, o)| !o.is_in_a_data_source()) {
                said(
                    &format!("/options/{key}"),
                    format!("`{}` is no place in a saved data source", option.native),
                    "write `jsonData.NAME`, `secureJsonData.NAME`, `url`, `user`, `database`, `basicAuthEnabled` or `basicAuthUser`",
                );
            }
        }
        if manifest.drive == Drive::GrafanaPlugin && manifest.declares.deadlines {
            let span = document.span("/declares/deadlines");
            wrong.push(
                Diagnostic::new(span, "a Grafana plugin is not told of deadlines")
                    .with_help("leave `deadlines` out: only the stdio protocol has them"),
            );
        }
        if let Some(mistake) = manifest.headers_mistake() {
            let span = document.key_span("/options/headers");
            wrong.push(
                Diagnostic::new(span, mistake)
                    .with_help("`metadata.{name}`, or `[{ \"{name}\" = \"{value}\" }]`"),
            );
        }
        for key in manifest.options.keys().filter(|k| !NEUTRAL_KEYS.contains(&k.as_str())) {
            let span = document.key_span(&format!("/options/{key}"));
            wrong.push(
                Diagnostic::new(span, format!("unknown neutral key `{key}`"))
                    .with_help(word_help(key, NEUTRAL_KEYS)),
            );
        }
        if wrong.is_empty() { Ok(manifest) } else { Err(document.errors(wrong)) }
    }

    /// What is wrong with the option for custom headers.
    fn headers_mistake(&self) -> Option<&'static str> {
        let option = self.options.get("headers")?;
        let one = option.value.as_ref().and_then(Value::as_array).is_some_and(|list| list.len() == 1);
        (!one && !option.native.contains("{name}"))
            .then_some("`headers` needs `{name}` in `native`, or a list with one template as `value`")
    }

    /// It reads what the Flight SQL data sources for Grafana save.
    fn reads_saved_settings(&self) -> bool {
        let at = |key: &str, place: &str| self.options.get(key).is_some_and(|option| option.native == place);
        self.drive == Drive::GrafanaPlugin
            && at("server.uri", "jsonData.host")
            && at("auth.token", "jsonData.selectedAuthType")
    }

    /// What kind of subject it is.
    pub fn kind(&self) -> SubjectKind {
        match self.drive {
            Drive::Stdio => self.kind.unwrap_or_default(),
            Drive::GrafanaPlugin => SubjectKind::FlightClient,
            Drive::Server => SubjectKind::FlightServer,
        }
    }

    /// It has what a scenario needs.
    pub fn has(&self, need: Need) -> bool {
        let option = |key: &str| self.options.contains_key(key);
        let declared = self.declares.oauth.as_ref();
        match need {
            Need::Discovery => declared.is_some_and(|o| o.discovery),
            Need::Oauth => declared.is_some(),
            Need::Scope => declared.is_some() && option("oauth.scope"),
            Need::Audience => declared.is_some() && option("oauth.audience"),
            Need::Basic => option("basic.username") && option("basic.password"),
            Need::Token => option("token"),
            Need::Anonymous => {
                option("auth.none") || self.declares.tls == TlsDeclared::Optional || !option("oauth")
            }
            Need::Users => self.declares.users,
            Need::AttributionSwitch => option("attribution.off"),
            Need::Plaintext => self.declares.tls == TlsDeclared::Optional,
            Need::Deadlines => self.declares.deadlines,
            Need::OwnProcess => match self.drive {
                Drive::Stdio => true,
                Drive::GrafanaPlugin | Drive::Server => false,
            },
            Need::Choice => option("auth.none") && option("oauth"),
            Need::Headers => option("headers"),
            Need::Plugin => self.drive == Drive::GrafanaPlugin,
            Need::SavedSettings => self.reads_saved_settings(),
            Need::KeysOnDemand => self.server.as_ref().is_some_and(|s| s.keys == KeysFetched::OnDemand),
        }
    }

    /// It has this surface; `query` unless denied.
    pub fn has_surface(&self, surface: Surface) -> bool {
        self.surfaces.get(&surface).copied().unwrap_or(surface == Surface::Query)
    }
}

impl From<Auth> for Need {
    fn from(auth: Auth) -> Self {
        match auth {
            Auth::Oauth => Self::Oauth,
            Auth::Token => Self::Token,
            Auth::Basic => Self::Basic,
            Auth::None => Self::Anonymous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
schema = 1
name = "x"
drive = "stdio"
command = ["./x"]
[options]
"server.uri" = { native = "uri", value = "grpc+tls://{host}:{port}" }
token = { native = "token", secret = true }
[declares]
tls = "optional"
"#;

    #[test]
    fn a_manifest_says_what_applies() {
        let manifest = Manifest::parse("subject.toml", GOOD).expect("a good manifest");
        assert!(manifest.has(Need::Token) && manifest.has(Need::Plaintext));
        assert!(!manifest.has(Need::Oauth) && !manifest.has(Need::Users));
        assert!(manifest.has_surface(Surface::Query) && !manifest.has_surface(Surface::Health));
    }

    #[test]
    fn an_http_client_says_so() {
        let text = GOOD.replace("\"stdio\"", "\"stdio\"\nkind = \"http-client\"");
        assert_eq!(Manifest::parse("subject.toml", &text).expect("good").kind(), SubjectKind::HttpClient);
    }

    #[test]
    fn an_option_of_a_plugin_has_a_place_in_a_saved_data_source() {
        let text = GOOD.replace("\"stdio\"", "\"grafana-plugin\"");
        let errors = Manifest::parse("subject.toml", &text).expect_err("two options").to_string();
        assert!(errors.contains("`uri` is no place in a saved data source"), "{errors}");
        let text = text
            .replace("native = \"uri\"", "native = \"jsonData.host\"")
            .replace("native = \"token\"", "native = \"secureJsonData.token\"");
        assert_eq!(Manifest::parse("subject.toml", &text).expect("good").drive, Drive::GrafanaPlugin);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let text = GOOD.replace("token =", "tokem =").replace("[\"./x\"]", "[]");
        let errors = Manifest::parse("subject.toml", &text).expect_err("two mistakes").to_string();
        assert!(
            errors.contains("unknown neutral key `tokem`") && errors.contains("did you mean `token`?"),
            "{errors}"
        );
        assert!(errors.contains("`command` is empty"), "{errors}");
        let text = GOOD.replace("command = [\"./x\"]\n", "");
        let errors = Manifest::parse("subject.toml", &text).expect_err("no command").to_string();
        assert!(errors.contains("missing key `command`"), "{errors}");
    }

    const SERVER: &str = r#"
schema = 1
name = "x"
drive = "server"
command = ["./x", "--port", "{port}"]
[server]
address = "grpc+tls://127.0.0.1:{port}"
"#;

    #[test]
    fn a_server_says_where_it_listens() {
        let manifest = Manifest::parse("subject.toml", SERVER).expect("a good manifest");
        assert_eq!(manifest.kind(), SubjectKind::FlightServer);
        assert!(manifest.has(Need::KeysOnDemand));
        let check = |from: &str, to: &str, expected: &str| {
            let errors = Manifest::parse("subject.toml", &SERVER.replace(from, to)).expect_err("a mistake");
            assert!(errors.to_string().contains(expected), "{errors}");
        };
        check("grpc+tls://127.0.0.1:{port}", "127.0.0.1", "`127.0.0.1` is no address");
        check(", \"--port\", \"{port}\"", "", "nothing tells the server its port");
        check("\"server\"", "\"server\"\nkind = \"http-client\"", "`kind` does not go with `drive`");
        check("\"server\"", "\"stdio\"", "`[server]` belongs to `drive = \"server\"`");
        check("[server]\naddress = \"grpc+tls://127.0.0.1:{port}\"", "", "`[server]` is missing");
    }
}
