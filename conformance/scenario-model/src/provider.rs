//! Providers whose ways are known, and a catalogue that is run as if each issuer were one of theirs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::SubjectKind;
use crate::load::Combination;
use crate::scenario::{
    Alg, Auth, ClientAuth, Issuer, IssuerName, OauthSettings, Scenario, Session, TokenForm,
};

/// A provider whose ways are known; `fixtures/providers` has them with their sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Auth0.
    Auth0,
    /// Amazon Cognito.
    Cognito,
    /// Microsoft Entra ID, v1.0.
    EntraV1,
    /// Microsoft Entra ID, v2.0.
    EntraV2,
    /// Google.
    Google,
    /// Keycloak.
    Keycloak,
    /// Okta, custom authorization server.
    OktaCustom,
    /// Okta, org authorization server.
    OktaOrg,
    /// PingFederate.
    Ping,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Auth0,
        Self::Cognito,
        Self::EntraV1,
        Self::EntraV2,
        Self::Google,
        Self::Keycloak,
        Self::OktaCustom,
        Self::OktaOrg,
        Self::Ping,
    ];

    /// The name of its profile.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth0 => "auth0",
            Self::Cognito => "cognito",
            Self::EntraV1 => "entra-v1",
            Self::EntraV2 => "entra-v2",
            Self::Google => "google",
            Self::Keycloak => "keycloak",
            Self::OktaCustom => "okta-custom",
            Self::OktaOrg => "okta-org",
            Self::Ping => "ping",
        }
    }

    /// The scope that its documentation tells a client to configure, without which there is no token.
    pub fn scope(self) -> Option<&'static str> {
        match self {
            Self::EntraV2 => Some("https://flight.example.test/.default"),
            Self::OktaCustom => Some("flight.read"),
            Self::Auth0
            | Self::Cognito
            | Self::EntraV1
            | Self::Google
            | Self::Keycloak
            | Self::OktaOrg
            | Self::Ping => None,
        }
    }

    /// The audience that its documentation tells a client to configure, without which the token is for nobody.
    pub fn audience(self) -> Option<&'static str> {
        (self == Self::Auth0).then_some("https://flight.example.test")
    }
}

/// Something that a provider does in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// Its document names another issuer than the one that was asked for it.
    Issuer,
}

impl Quirk {
    /// Its name in the profile.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
        }
    }
}

impl Provider {
    /// Those that give tokens for client credentials that a resource server can verify.
    pub const SERVING: [Self; 7] = [
        Self::Auth0,
        Self::Cognito,
        Self::EntraV1,
        Self::EntraV2,
        Self::Keycloak,
        Self::OktaCustom,
        Self::Ping,
    ];
}

/// What an issuer's profile decides, and whether this one decides it by itself.
pub(crate) fn own_decisions(issuer: &Issuer) -> [(&'static str, bool); 7] {
    [
        ("trailing_slash", issuer.trailing_slash),
        ("client_auth", issuer.client_auth != ClientAuth::default()),
        ("token", issuer.token != TokenForm::default()),
        ("alg", issuer.alg != Alg::default()),
        ("expires_in", issuer.expires_in.is_some()),
        ("require", !issuer.require.is_empty()),
        ("token_on_another_host", issuer.token_on_another_host),
    ]
}

/// The same combination with an issuer that is like the provider, and clients that are configured as its documentation says.
///
/// # Errors
/// Why the scenario has no such variant: it decides something itself that is the provider's to decide.
pub fn like(combination: &Combination, provider: Provider) -> Result<Combination, String> {
    let mut scenario = Scenario::clone(&combination.scenario);
    if scenario.subject == SubjectKind::FlightServer {
        return Err("a server under test has the issuer of its scenario".to_owned());
    }
    let issuer = &mut scenario.world.issuer;
    if issuer.profile.is_some() {
        return Err("the scenario is about a provider of its own".to_owned());
    }
    if let Some((key, _)) = own_decisions(issuer).into_iter().find(|(_, own)| *own) {
        return Err(format!("the scenario decides `{key}` of the issuer, as the provider does"));
    }
    issuer.profile = Some(provider);
    if provider == Provider::EntraV1 {
        // A client that compares issuers refuses the rest: providers/document-of-another-issuer is about that.
        issuer.without = vec![Quirk::Issuer];
    }
    let uses_a = scenario.step.iter().any(|step| step.session == "a" && step.op.is_call());
    if uses_a && !scenario.session.iter().any(|session| session.id == "a") {
        scenario.session.insert(0, Session::plain("a"));
    }
    for session in scenario.session.iter_mut().filter(|session| session.issuer == IssuerName::Main) {
        let oauth = &mut session.oauth;
        if oauth.scope.is_some() || oauth.audience.is_some() {
            return Err("the scenario decides scope or audience, as the provider does".to_owned());
        }
        let with_oauth = session.auth == Auth::Oauth || session.also.contains(&Auth::Oauth);
        oauth.as_documented = with_oauth && oauth.keep.is_none();
    }
    Ok(Combination { scenario: scenario.into(), ..combination.clone() })
}

impl Session {
    /// A session with OAuth and nothing unusual.
    pub fn plain(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            issuer: IssuerName::default(),
            auth: Auth::default(),
            also: Vec::new(),
            oauth: OauthSettings::default(),
            attribution: None,
            server: Default::default(),
            client_of: None,
            basic: Default::default(),
            settings: Vec::new(),
            headers: Vec::new(),
            port: Default::default(),
            saved: None,
            replaces: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Vocabulary;
    use crate::load::load_scenario;

    fn combination(more: &str) -> Combination {
        let text = format!(
            r#"title    = "t"
profiles = ["core"]
lane     = "instant"
{more}

[[step]]
id = "first"
op = "query"

[[check]]
id     = "c"
level  = "MUST"
claim  = "x"
covers = ["FC-PROV-1"]
expect = [{{ step = "first", outcome = "served" }}]
"#
        );
        let loaded = load_scenario("a/b", "a/b.toml", &text, &Vocabulary::new()).expect("a good scenario");
        loaded.combinations[0].clone()
    }

    #[test]
    fn the_plain_session_is_configured_as_the_provider_says() {
        let like = like(&combination(""), Provider::Auth0).expect("nothing is decided").scenario;
        assert_eq!(like.world.issuer.profile, Some(Provider::Auth0));
        let oauth = like.session[0].oauth.at(&like.world.issuer);
        assert_eq!(oauth.audience.as_deref(), Provider::Auth0.audience());
    }

    #[test]
    fn a_session_without_oauth_gets_no_scope() {
        let token = combination("[[session]]\nid = \"a\"\nauth = \"token\"");
        let like = like(&token, Provider::EntraV2).expect("nothing is decided").scenario;
        assert_eq!(like.session[0].oauth.at(&like.world.issuer).scope, None);
    }

    #[test]
    fn what_a_scenario_decides_itself_has_no_variant() {
        let check = |more: &str, part: &str| {
            let why = like(&combination(more), Provider::Ping).expect_err("it decides something");
            assert!(why.contains(part), "{why}");
        };
        check("[world.issuer]\nexpires_in = 3", "`expires_in`");
        check("[world.issuer]\nalg = \"ES256\"", "`alg`");
        check("[world.issuer]\nprofile = \"auth0\"", "a provider of its own");
        check("[[session]]\nid = \"a\"\noauth = { scope = \"s\" }", "scope or audience");
    }
}
