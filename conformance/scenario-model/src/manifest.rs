//! `subject.toml`: how a client is started, what it calls its options, what it declares.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnostic::{Diagnostic, FileErrors, word_help};
use crate::document::Document;
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
    pub options: BTreeMap<String, NativeOption>,
    /// What it can do; what is not declared is not applicable.
    pub declares: Declares,
    /// Faces on which queries can be made.
    #[serde(default)]
    pub surfaces: BTreeMap<Surface, bool>,
    /// What it calls things in its messages.
    #[serde(default)]
    pub words: BTreeMap<String, Vec<String>>,
}

/// How a subject is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drive {
    /// JSON lines on stdin and stdout.
    Stdio,
    /// A Grafana backend data source, as Grafana drives it.
    GrafanaPlugin,
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
    pub native: String,
    /// Its value; the neutral value unless said. Text is a template with `{value}`, `{host}`, `{port}`; a bool or a number
    /// stays what it is.
    pub value: Option<Value>,
    /// Its value for a server without TLS.
    pub plaintext: Option<Value>,
    /// It holds a secret.
    #[serde(default)]
    pub secret: bool,
}

/// What a subject can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsDeclared {
    /// With TLS only, if credentials are used.
    Required,
    /// With and without.
    Optional,
}

/// Every neutral key that the runner knows.
pub const NEUTRAL_KEYS: [&str; 17] = [
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
];

/// What of a saved data source is neither in `jsonData` nor in `secureJsonData`.
const DATA_SOURCE_FIELDS: [&str; 5] = ["url", "user", "database", "basicAuthEnabled", "basicAuthUser"];

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
        if !manifest.options.contains_key("server.uri") {
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
        for key in manifest.options.keys().filter(|k| !NEUTRAL_KEYS.contains(&k.as_str())) {
            let span = document.key_span(&format!("/options/{key}"));
            wrong.push(
                Diagnostic::new(span, format!("unknown neutral key `{key}`"))
                    .with_help(word_help(key, NEUTRAL_KEYS)),
            );
        }
        if wrong.is_empty() { Ok(manifest) } else { Err(document.errors(wrong)) }
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
                Drive::GrafanaPlugin => false,
            },
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
}
