//! How a scenario configures the client under test.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Issuer;

/// One configuration of the client under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Its name; `a` is there without being written.
    pub id: String,
    /// Which issuer: `main` or `healthy`.
    #[serde(default)]
    pub issuer: IssuerName,
    /// How it authenticates.
    #[serde(default)]
    pub auth: Auth,
    /// Settings of another method that are present too.
    #[serde(default)]
    pub also: Vec<Auth>,
    /// Changes to its OAuth settings.
    #[serde(default)]
    pub oauth: OauthSettings,
    /// The attribution switch, if the subject has one.
    pub attribution: Option<bool>,
    /// Changes to its username and password.
    #[serde(default)]
    pub basic: BasicSettings,
    /// Settings that are not what they should be, by their neutral key.
    #[serde(default)]
    pub settings: Vec<Setting>,
    /// Headers that the user wants on every call.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// How the port is written in the server's address.
    #[serde(default)]
    pub port: PortForm,
    /// The data source was saved so: a file of `fixtures/grafana-settings`, which also says the method and whether the
    /// server has TLS.
    pub saved: Option<String>,
    /// It is the same client as this session: its id, and its secret too unless `wrong_secret` is set.
    pub client_of: Option<String>,
    /// It takes the place of this session, as saved settings do: that is closed first, and this one has its name.
    pub replaces: Option<String>,
    /// Which server: `main` or `healthy`.
    #[serde(default)]
    pub server: ServerName,
}

/// A face of the server of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServerName {
    /// As under `[world.server]`.
    #[default]
    Main,
    /// Without its `tls` and `location`.
    Healthy,
}

/// Changes to a session's username and password.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicSettings {
    /// Keep only this of `username`, `password`.
    pub keep: Option<String>,
    /// What becomes of the other.
    pub others: Option<Others>,
    /// The password; `{canary}` stands for the generated one and must be in it.
    pub password: Option<String>,
}

/// A setting that is not what it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Its neutral key.
    pub key: String,
    /// What it is: text with `{value}` for what it should be, `"<absent>"`, or a value of another type.
    pub value: Value,
}

/// A header that the user wants on every call. What `x-flightcheck` holds is in the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// How the port is written in the server's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PortForm {
    /// As it is.
    #[default]
    AsItIs,
    /// `host`.
    Absent,
    /// `host:`.
    Empty,
    /// The right one with 65536 added.
    TooLarge,
    /// A minus before it.
    Negative,
    /// `host:grpc`.
    Word,
}

/// Name of an issuer of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerName {
    /// The one under `[world.issuer]`.
    #[default]
    Main,
    /// One without faults.
    Healthy,
}

impl IssuerName {
    /// Its name in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Healthy => "healthy",
        }
    }
}

/// An authentication method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// OAuth 2.0 client credentials.
    #[default]
    Oauth,
    /// A static token.
    Token,
    /// Username and password by Handshake.
    Basic,
    /// None.
    None,
}

/// Changes to a session's OAuth settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OauthSettings {
    /// Keep only these of `issuer`, `client_id`, `client_secret`, joined with `+`.
    pub keep: Option<String>,
    /// What becomes of those that are not kept.
    pub others: Option<Others>,
    /// The scope to configure.
    pub scope: Option<String>,
    /// The audience to configure.
    pub audience: Option<String>,
    /// The client secret; `{canary}` stands for the generated one and must be in it.
    pub client_secret: Option<String>,
    /// The client id; `{canary}` stands for the generated one and must be in it.
    pub client_id: Option<String>,
    /// How the issuer is written in the client's settings.
    pub issuer_form: IssuerForm,
    /// The secret that the client has is not the registered one.
    pub wrong_secret: bool,
    /// Scope and audience are what the documentation of the issuer's `profile` tells a client to configure.
    pub as_documented: bool,
}

impl OauthSettings {
    /// With scope and audience filled in, for a session of this issuer.
    #[must_use]
    pub fn at(&self, issuer: &Issuer) -> Self {
        let mut settings = self.clone();
        if let Some(provider) = issuer.profile.filter(|_| settings.as_documented) {
            settings.scope = provider.scope().map(str::to_owned);
            settings.audience = provider.audience().map(str::to_owned);
        }
        settings
    }
}

/// What becomes of a setting that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Others {
    /// Not there.
    Absent,
    /// An empty string.
    Empty,
    /// White space.
    Blank,
}

/// How the issuer is written in the client's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerForm {
    /// As published.
    #[default]
    AsPublished,
    /// With a slash at the end.
    WithSlash,
    /// Without a slash at the end.
    WithoutSlash,
}
