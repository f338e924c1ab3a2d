//! A call that the runner itself makes to a server under test: which token, and how it is sent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnostic::{Diagnostic, word_help};
use crate::document::Document;
use crate::scenario::{Op, Resource, Scenario};

/// What kind of program a scenario or a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A Flight SQL client: it is driven, and meets our issuer and server.
    #[default]
    FlightClient,
    /// A Flight SQL server that trusts our issuer: the runner is its client.
    FlightServer,
    /// A client that sends data over HTTP with our issuer's tokens: it is driven, and meets our protected HTTP endpoint.
    HttpClient,
}

impl SubjectKind {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FlightClient => "client",
            Self::FlightServer => "server",
            Self::HttpClient => "HTTP client",
        }
    }
}

/// A call to a server under test. The default is a query with a good token.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    /// The token.
    pub token: CallToken,
    /// Which `authorization` values are sent.
    pub authorization: Authorization,
    /// The scheme before the token; `Bearer` unless said.
    pub scheme: Option<String>,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// What is called.
    pub rpc: ServerRpc,
}

/// Which `authorization` values a call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Authorization {
    /// One, with the token.
    #[default]
    One,
    /// None at all.
    None,
    /// The same value twice.
    Twice,
    /// A value with a good token, then that with the token.
    GoodFirst,
    /// The value with the token, then one with a good token.
    GoodLast,
}

/// What is called at a server under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ServerRpc {
    /// `GetFlightInfo`, then `DoGet` for each of its endpoints, all with the token.
    #[default]
    Query,
    /// `DoGet` with the token, for a ticket that was got with a good one.
    DoGet,
    /// `GetSchema` for the query.
    GetSchema,
    /// `DoAction`, to prepare the query.
    DoAction,
    /// `DoPut`, with a change that is refused by whoever lets it in.
    DoPut,
    /// `ListActions`.
    ListActions,
}

/// A token. The default is one that the server must take; whatever is said is the only thing wrong with it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CallToken {
    /// Claims that are set; `{n}` is the number of the call.
    pub claims: BTreeMap<String, Value>,
    /// Claims that are left out.
    pub without: Vec<String>,
    /// Members of the header that are set; `"<absent>"` removes one, `"<elsewhere>/…"` leads to another origin.
    pub header: BTreeMap<String, Value>,
    /// Seconds from now to its `exp`, below zero for one that has expired.
    pub expires_in: Option<f64>,
    /// Seconds from now to its `nbf`.
    pub valid_in: Option<f64>,
    /// The leeway that the server's manifest declares is added to what makes the token wrong.
    pub beyond_leeway: bool,
    /// What is wrong with its signature or its header.
    pub fault: Option<TokenFault>,
    /// A member that is in it once more, before the right one.
    pub twice: Option<TwiceMember>,
    /// This text instead of a JWT.
    pub raw: Option<String>,
    /// The token of that step, once more.
    pub of: Option<String>,
}

/// What is wrong with a token's signature or header, beyond claims and members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenFault {
    /// Signed with another's key under the issuer's `kid`.
    StrangersKey,
    /// One bit of the signature is wrong.
    BrokenSignature,
    /// The signature is empty.
    NoSignature,
    /// `alg` is `none`, and there is no signature.
    AlgNone,
    /// An HMAC whose secret is the issuer's public key.
    HmacWithPublicKey,
    /// `jku` leads to another's key set, whose key made the signature.
    Jku,
    /// `x5u` leads to another's certificate, whose key made the signature.
    X5u,
    /// The header brings the key that made the signature.
    EmbeddedKey,
    /// `crit` names an extension that nobody knows.
    CriticalExtension,
}

/// A member that is in a token twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TwiceMember {
    /// Where.
    pub part: TokenPart,
    /// Its name.
    pub member: String,
    /// Its first value.
    pub value: Value,
}

/// A part of a JWT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenPart {
    /// The JOSE header.
    Header,
    /// The claims.
    Claims,
}

/// What makes no sense about calls, and about scenarios for servers.
pub(crate) fn check(document: &Document, scenario: &Scenario, wrong: &mut Vec<Diagnostic>) {
    let mut said = |at: &str, message: String, help: String| {
        wrong.push(Diagnostic::new(document.span(at), message).with_help(help));
    };
    let for_servers = scenario.subject == SubjectKind::FlightServer;
    if for_servers && !scenario.session.is_empty() {
        let help = "the runner is the only client of a server under test".to_owned();
        said("/session", "a scenario for servers has no sessions".to_owned(), help);
    }
    if scenario.subject != SubjectKind::HttpClient && scenario.world.resource != Resource::default() {
        let help = "write `subject = \"http-client\"` at the top".to_owned();
        said("/world/resource", "`resource` is what HTTP clients meet".to_owned(), help);
    }
    let mut calls: Vec<&str> = Vec::new();
    for (nth, step) in scenario.step.iter().enumerate() {
        let at = format!("/step/{nth}");
        let is_call = step.op == Op::Call;
        if let Some((message, help)) = out_of_place(step.op, scenario.subject) {
            said(&format!("{at}/op"), message.to_owned(), help.to_owned());
        }
        let Some(call) = &step.call else {
            calls.extend(is_call.then_some(step.id.as_str()));
            continue;
        };
        if !is_call {
            said(
                &format!("{at}/call"),
                "`call` belongs to `op = \"call\"`".to_owned(),
                "remove it".to_owned(),
            );
        }
        token(&call.token, &format!("{at}/call/token"), &calls, &mut said);
        if call.authorization == Authorization::None && call.token != CallToken::default() {
            let help = "remove `token`, or choose another `authorization`".to_owned();
            said(&format!("{at}/call/token"), "a call without authorization has no token".to_owned(), help);
        }
        for name in call.headers.keys().filter(|name| !is_header(name)) {
            let help = "lower-case letters, digits and `-`; not `authorization`".to_owned();
            said(&format!("{at}/call/headers/{name}"), format!("`{name}` is no name of a header here"), help);
        }
        let sent = call.headers.values().chain(&call.scheme).chain(&call.token.raw);
        for text in sent.filter(|text| !text.chars().all(|c| (' '..='~').contains(&c))) {
            let help = "a header carries ASCII from the space to `~`".to_owned();
            said(&format!("{at}/call"), format!("`{text}` cannot be sent"), help);
        }
        calls.push(&step.id);
    }
}

/// What is wrong with an operation in a scenario for this kind of subject.
fn out_of_place(op: Op, subject: SubjectKind) -> Option<(&'static str, &'static str)> {
    match (op, subject) {
        (Op::World, _) | (Op::Call, SubjectKind::FlightServer) | (Op::Export, SubjectKind::HttpClient) => {
            None
        }
        (Op::Query | Op::Health | Op::Tables | Op::Restart, SubjectKind::FlightClient)
        | (Op::Restart, SubjectKind::HttpClient) => None,
        (_, SubjectKind::FlightServer) => {
            Some(("a server under test can only be called", "use `op = \"call\"` or `op = \"world\"`"))
        }
        (Op::Call, _) => {
            Some(("`call` asks a server under test", "write `subject = \"flight-server\"` at the top"))
        }
        (Op::Export, SubjectKind::FlightClient) => {
            Some(("`export` asks an HTTP client", "write `subject = \"http-client\"` at the top"))
        }
        (Op::Query | Op::Health | Op::Tables, SubjectKind::HttpClient) => {
            Some(("an HTTP client has no queries", "use `op = \"export\"`"))
        }
    }
}

fn token(token: &CallToken, at: &str, calls: &[&str], said: &mut impl FnMut(&str, String, String)) {
    let whole = [token.raw.is_some(), token.of.is_some()].into_iter().filter(|is| *is).count();
    let parts = CallToken { raw: None, of: None, ..token.clone() } != CallToken::default();
    if whole + usize::from(parts) > 1 {
        let help = "one of `raw`, `of`, or the members of a JWT".to_owned();
        said(at, "a token is one thing".to_owned(), help);
    }
    if token.beyond_leeway && token.expires_in.is_none() && token.valid_in.is_none() {
        let help = "`beyond_leeway` moves `expires_in` or `valid_in`".to_owned();
        said(&format!("{at}/beyond_leeway"), "there is nothing to move".to_owned(), help);
    }
    if let Some(step) = token.of.as_ref().filter(|step| !calls.contains(&step.as_str())) {
        let help = word_help(step, calls.iter().copied());
        said(&format!("{at}/of"), format!("`{step}` is no earlier call"), help);
    }
}

fn is_header(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.chars().all(plain) && name != "authorization"
}
