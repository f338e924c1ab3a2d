//! A scenario: one situation, its steps, its checks. The form of the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::{Call, SubjectKind};
use crate::clause::RawClause;
use crate::moment::{Lifetime, Moment, Seconds};
use crate::provider::{Provider, Quirk};

/// One scenario file. Strings may hold `{name}` for a value of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What is certified, as a sentence.
    pub title: String,
    /// The requirement set in which it first stood.
    pub since: Option<String>,
    /// It is run and shown, and decides nothing: for the time until a requirement set takes it in.
    #[serde(default)]
    pub pending: bool,
    /// Profiles that hold it.
    pub profiles: Vec<Profile>,
    /// What a subject must have declared for this to apply.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// More needs for some values of the matrix.
    #[serde(default)]
    pub needs_if: Vec<NeedsIf>,
    /// How it spends its time.
    pub lane: Lane,
    /// Surfaces on which `query` steps run, one permutation for each that the subject has.
    #[serde(default = "query_only")]
    pub surfaces: Vec<Surface>,
    /// Names and values; each combination is a permutation.
    #[serde(default)]
    pub matrix: BTreeMap<String, Vec<Value>>,
    /// Issuer and server.
    #[serde(default)]
    pub world: World,
    /// Client sessions beside or instead of the plain session `a`.
    #[serde(default)]
    pub session: Vec<Session>,
    /// What is done, in order.
    #[serde(default)]
    pub step: Vec<Step>,
    /// What is judged.
    pub check: Vec<Check>,
    /// What kind of program is under test.
    #[serde(default)]
    pub subject: SubjectKind,
}

impl Scenario {
    /// A situation for servers in which nothing is unusual and nothing is judged.
    pub fn for_servers() -> Self {
        Self {
            title: String::new(),
            since: None,
            pending: false,
            profiles: Vec::new(),
            needs: Vec::new(),
            needs_if: Vec::new(),
            lane: Lane::Instant,
            surfaces: query_only(),
            matrix: BTreeMap::new(),
            world: World::default(),
            session: Vec::new(),
            step: Vec::new(),
            check: Vec::new(),
            subject: SubjectKind::FlightServer,
        }
    }
}

fn query_only() -> Vec<Surface> {
    vec![Surface::Query]
}

/// A named selection of scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// None, token, basic, partial and conflicting settings.
    Core,
    /// OAuth 2.0 client credentials.
    OauthCc,
    /// Hangs, failures, recovery.
    Resilience,
    /// Many queries, users and sessions at once.
    Concurrency,
    /// Which user a query is for.
    Attribution,
    /// Secrets and where they go.
    Hygiene,
    /// Grafana plugins.
    Plugin,
    /// Servers that take the tokens.
    ResourceServer,
    /// HTTP clients that send data with the tokens.
    HttpResource,
}

/// What a subject must have for a scenario to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// It finds the token endpoint by discovery.
    Discovery,
    /// It takes the token endpoint as an option, or finds it by discovery.
    Oauth,
    /// It takes a scope.
    Scope,
    /// It takes an audience.
    Audience,
    /// It takes username and password.
    Basic,
    /// It takes a static token.
    Token,
    /// It can query without credentials.
    Anonymous,
    /// It can be told for which user a query is.
    Users,
    /// Attribution can be switched off.
    AttributionSwitch,
    /// It connects without TLS.
    Plaintext,
    /// A query can be given a deadline.
    Deadlines,
    /// Each permutation has a process of its own, so that its end can be judged.
    OwnProcess,
    /// It is told by an option which method to use.
    Choice,
    /// It takes custom headers.
    Headers,
    /// It is a Grafana plugin.
    Plugin,
    /// It reads the data sources that the Flight SQL plugins save.
    SavedSettings,
    /// A server that fetches the issuer's keys when it needs them, so that it starts without the issuer.
    KeysOnDemand,
}

/// More needs for some values of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeedsIf {
    /// Values of the matrix, all of which must be so.
    pub when: BTreeMap<String, Value>,
    /// What is then needed.
    pub needs: Vec<Need>,
}

/// How a scenario spends its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// It only waits, for long: as many at once as there are.
    Hang,
    /// Its steps stand at moments in time: a bounded number at once.
    Clock,
    /// It works: a few at once.
    Instant,
}

/// A face of the subject on which a query can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Surface {
    /// A query with rows.
    Query,
    /// A health check ("Save & test").
    Health,
    /// A metadata call.
    Tables,
    /// A plugin's resource with the columns of a table.
    Columns,
    /// A plugin's resource with facts about the server.
    SqlInfo,
}

impl Surface {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Query, Self::Health, Self::Tables, Self::Columns, Self::SqlInfo];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Health => "health",
            Self::Tables => "tables",
            Self::Columns => "columns",
            Self::SqlInfo => "sql-info",
        }
    }
}

/// The servers of one permutation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// The issuer `main`. A session may choose the issuer `healthy`, which has no faults.
    pub issuer: Issuer,
    /// The Flight SQL server.
    pub server: Server,
    /// The protected endpoint that HTTP clients send to.
    pub resource: Resource,
}

/// A protected HTTP endpoint: it takes what comes with a token of the issuer, and answers 401 to everything else (RFC 6750 §3).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resource {
    /// Ways to misbehave towards a request that has a good token.
    pub fault: Vec<ResourceFault>,
}

/// An answer of the protected endpoint that is not what the request deserves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceFault {
    /// Answer with this status, 400 to 599.
    pub status: u16,
    /// And these headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// So many requests are answered well first.
    #[serde(default)]
    pub after: u32,
    /// So many requests are hit; all unless said.
    pub times: Option<u32>,
}

/// An issuer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Issuer {
    /// `https` unless said otherwise.
    pub scheme: Scheme,
    /// Path of the issuer: `/tenant/v2.0`.
    pub path: String,
    /// The published issuer ends in a slash.
    pub trailing_slash: bool,
    /// A listener for each endpoint, on ports of their own; always so with `stall`.
    pub own_ports: bool,
    /// How a client may authenticate.
    pub client_auth: ClientAuth,
    /// Form of the access tokens.
    pub token: TokenForm,
    /// Signature algorithm of the access tokens.
    pub alg: Alg,
    /// Lifetime of the access tokens; one hour unless said otherwise.
    pub expires_in: Option<Lifetime>,
    /// A request without this parameter is refused.
    pub require: Vec<Required>,
    /// An endpoint that never gets done.
    pub stall: Option<Stall>,
    /// Other ways to misbehave.
    pub fault: Vec<IssuerFault>,
    /// The token endpoint is on another host name than discovery.
    pub token_on_another_host: bool,
    /// The provider that it is like; `path` is then the tenant's.
    pub profile: Option<Provider>,
    /// In what it is not like the provider.
    pub without: Vec<Quirk>,
    /// Seconds that its clock is ahead of ours; less than zero: behind.
    pub clock_ahead: i32,
    /// The only version of TLS that it speaks.
    pub tls_version: Option<TlsVersion>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V13,
}

/// What is wrong with the TLS of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsTrouble {
    /// A certificate of a CA that nobody knows.
    UnknownCa,
    /// A certificate signed by itself.
    SelfSigned,
    /// A certificate for another name.
    WrongName,
    /// A certificate whose time is over.
    Expired,
    /// A certificate whose time has not come.
    NotYetValid,
    /// TLS 1.0 and nothing newer.
    OldVersion,
    /// There is none, although clients are told that there is.
    Missing,
    /// There is one, although clients are told that there is none: of a server with `plaintext`.
    Unexpected,
}

/// Scheme of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// TLS with a leaf of the suite's throw-away CA.
    #[default]
    Https,
    /// Plain HTTP.
    Http,
}

/// Client authentication that an issuer takes and publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// `client_secret_basic` and `client_secret_post`.
    #[default]
    Any,
    /// `client_secret_basic` only.
    Basic,
    /// `client_secret_post` only.
    Post,
}

/// Form of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenForm {
    /// A JWT by RFC 9068.
    #[default]
    Jwt,
    /// A random string, looked up by introspection.
    Opaque,
}

/// Signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Alg {
    /// RSA with SHA-256.
    #[default]
    RS256,
    /// ECDSA on P-256.
    ES256,
}

/// A parameter that the token endpoint insists on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Required {
    /// `audience`.
    Audience,
    /// `scope`.
    Scope,
}

/// An endpoint that never gets done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// Which.
    pub endpoint: Endpoint,
    /// In which way.
    pub how: StallHow,
}

/// An endpoint of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// The discovery document.
    Discovery,
    /// The token endpoint.
    Token,
    /// The key set.
    Jwks,
}

impl Endpoint {
    /// Its name in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Token => "token",
            Self::Jwks => "jwks",
        }
    }
}

/// The way of a stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StallHow {
    /// The request is read and never answered.
    AcceptThenSilence,
    /// Status and headers come, the body does not.
    HeadersThenSilence,
    /// The body comes at one byte a second.
    OneBytePerSecond,
    /// The TCP handshake is not answered.
    SynBlackhole,
}

/// A way in which an issuer misbehaves: exactly one of `status`, `patch`, `redirect`, `echo`, `refused`, `reset`, `answer`,
/// `content_type`, `but_status`, `long_token`, `delay`, `redirect_within`, `connection`, `stall`, `tls`. In `body` and `patch` the text
/// `<secret>` stands for the secret of the issuer's first session; in `patch` also `<issuer>`, `<elsewhere>` and
/// `<plain-elsewhere>` for addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerFault {
    /// Where.
    pub endpoint: Endpoint,
    /// So many requests are answered well first.
    #[serde(default)]
    pub after: u32,
    /// So many requests are hit; all unless said.
    pub times: Option<u32>,
    /// Answer with this status, `headers` and `body`.
    pub status: Option<u16>,
    /// Headers for `status`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body for `status`.
    pub body: Option<String>,
    /// A JSON merge patch (RFC 7396) of the right answer, `null` written as `"<absent>"`; in strings `<issuer>` is the
    /// published issuer, `<elsewhere>` another origin that records what reaches it, `<plain-elsewhere>` one without TLS.
    pub patch: Option<BTreeMap<String, Value>>,
    /// Redirect with this status to another origin, which records what reaches it.
    pub redirect: Option<u16>,
    /// Refuse with this status, and repeat the request in the error's description.
    pub echo: Option<u16>,
    /// Nothing listens.
    #[serde(default)]
    pub refused: bool,
    /// The connection is reset.
    #[serde(default)]
    pub reset: bool,
    /// Something else than the right answer, or less, or more.
    pub answer: Option<AnswerFault>,
    /// The right answer under this media type; under none if empty.
    pub content_type: Option<String>,
    /// The right answer with this status.
    pub but_status: Option<u16>,
    /// The right answer with an access token of at least so many bytes, which is valid.
    pub long_token: Option<u32>,
    /// The right answer, so much later.
    pub delay: Option<Seconds>,
    /// Redirect with this status to the same endpoint, which then answers well.
    pub redirect_within: Option<u16>,
    /// The connection does not hold.
    pub connection: Option<BrokenConnection>,
    /// It never gets done.
    pub stall: Option<StallHow>,
    /// Something is wrong with TLS; the endpoint has a port of its own then.
    pub tls: Option<TlsTrouble>,
}

/// What an issuer makes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerFault {
    /// A page, as a captive portal sends it, with status 200.
    Html,
    /// No body.
    Empty,
    /// JSON that ends too early, in an answer of the right length.
    CutShort,
    /// Ten thousand arrays in each other.
    DeeplyNested,
    /// A body that never ends.
    Endless,
    /// The right answer, compressed although nobody asked for that.
    Gzip,
    /// The right answer behind a byte order mark.
    ByteOrderMark,
    /// Each member twice, first with a wrong value.
    DuplicateMembers,
    /// The connection is closed in the middle of the body.
    Truncated,
    /// The connection is reset in the middle of the body.
    ResetMidBody,
    /// The connection is closed instead of an answer.
    ClosedUnanswered,
}

/// How a connection to an issuer does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BrokenConnection {
    /// Nothing listens.
    Refused,
    /// It is accepted and reset.
    Reset,
    /// The TLS handshake fails: the issuer speaks an old version only.
    TlsAborted,
    /// It is closed after the request, without a byte of an answer.
    Unanswered,
    /// It is closed in the middle of the answer's body.
    CutShort,
}

/// The Flight SQL server. It takes the ways in that the sessions use.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// It also serves callers without credentials.
    pub anonymous: bool,
    /// It has no TLS.
    pub plaintext: bool,
    /// Callers of a method wait for each other.
    pub rendezvous: Option<Rendezvous>,
    /// Ways to misbehave.
    pub fault: Vec<ServerFault>,
    /// What it answers to a Handshake.
    pub handshake: HandshakeAnswer,
    /// Something is wrong with the TLS of its listeners, but for sessions of the server `healthy`.
    pub tls: Option<TlsTrouble>,
    /// The only version of TLS that it speaks.
    pub tls_version: Option<TlsVersion>,
    /// Where it says that results are, but for sessions of the server `healthy`.
    pub location: Option<Location>,
    /// Headers of every answer; `{canary}` stands for a generated secret and must be in each.
    pub headers: BTreeMap<String, String>,
}

/// What a server answers to a Handshake with the right username and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HandshakeAnswer {
    /// The token in the header `authorization`, and in the payload besides.
    #[default]
    Header,
    /// The token in the trailer `authorization` only.
    Trailer,
    /// The token in the payload only.
    Payload,
    /// OK, and no token.
    WithoutToken,
    /// `UNIMPLEMENTED`.
    Unimplemented,
}

/// Where the endpoint of a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// `arrow-flight-reuse-connection://?`: where the question was asked.
    ReuseConnection,
    /// The very address that the client was told.
    OwnAddress,
    /// A Flight server on another host, with a certificate that the client trusts; it records what reaches it.
    OtherHost,
    /// The same, with the client's own address in the place of a user name.
    OwnAddressAsUser,
    /// A Flight server without TLS on another port of the same host; it records what reaches it.
    Plaintext,
}

/// Callers of a method wait for each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rendezvous {
    /// The gRPC method.
    pub rpc: FlightMethod,
    /// How many must be inside at once.
    pub parties: u32,
    /// How long they wait.
    pub wait: Seconds,
}

/// A gRPC method of Flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FlightMethod {
    /// `GetFlightInfo`.
    GetFlightInfo,
    /// `DoGet`.
    DoGet,
    /// `Handshake`.
    Handshake,
}

/// A way in which the Flight SQL server misbehaves on statement queries: exactly one of `code`, `breaks`, `delay`, `slow`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerFault {
    /// On which method; on any unless said.
    pub rpc: Option<FlightMethod>,
    /// The gRPC code.
    pub code: Option<Code>,
    /// At which moment of the answer.
    #[serde(default)]
    pub at: AnswerMoment,
    /// So many calls are answered well first.
    #[serde(default)]
    pub after: u32,
    /// So many calls are hit; all unless said.
    pub times: Option<u32>,
    /// The answer breaks off without a code.
    pub breaks: Option<Breaks>,
    /// The right answer comes so much later.
    pub delay: Option<Seconds>,
    /// So long before each message of the right answer.
    pub slow: Option<Seconds>,
    /// Only on calls of this session.
    pub session: Option<String>,
    /// Also on calls that are no statements, what a client asks at connect for instance.
    #[serde(default)]
    pub every_call: bool,
}

/// How an answer breaks off without a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Breaks {
    /// Nothing more comes, and the stream stays open.
    Silence,
    /// The stream is reset.
    Reset,
    /// The connection is closed.
    Disconnect,
}

/// A gRPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// 16.
    Unauthenticated,
    /// 7.
    PermissionDenied,
    /// 14.
    Unavailable,
    /// 13.
    Internal,
}

/// A moment of a streamed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerMoment {
    /// Instead of an answer.
    #[default]
    BeforeSchema,
    /// After the schema.
    AfterSchema,
    /// After the first batch of rows.
    MidStream,
}

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

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name.
    pub id: String,
    /// What is done.
    pub op: Op,
    /// By which session.
    #[serde(default = "session_a")]
    pub session: String,
    /// When; after the step before it has ended unless said.
    pub at: Option<Moment>,
    /// The SQL, with `{marker}` in it; `{n}` is the number of the call.
    pub sql: Option<String>,
    /// For which user; `{n}` is the number of the call.
    pub user: Option<String>,
    /// How many at once.
    #[serde(default = "one")]
    pub parallel: u32,
    /// For `world`: what to change.
    #[serde(default)]
    pub set: WorldSet,
    /// For `query`: the subject is told to give up after this time.
    pub deadline: Option<Seconds>,
    /// Its answer is not waited for longer than this; the call goes on.
    pub wait: Option<Seconds>,
    /// Where the SQL of a plugin's query is; in every field that is in use unless said.
    pub query_field: Option<QueryField>,
    /// For `call`: which token, and how it is sent; a query with a good token unless said.
    pub call: Option<Call>,
    /// So many users take turns: `{n}` counts up to this and begins again.
    pub users: Option<u32>,
    /// The user's own token and cookie come with the request.
    #[serde(default)]
    pub forwarded: bool,
    /// Its queries go into one request with those of the steps beside it that name the same: as Grafana asks for a panel.
    pub request: Option<String>,
}

impl Step {
    /// Their queries are sent in one request.
    pub fn shares_request(&self, other: &Self) -> bool {
        self.request.is_some() && self.request == other.request
    }
}

/// Where the SQL of a Grafana query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QueryField {
    /// In `query`.
    Query,
    /// In `queryText`, as older dashboards have it.
    QueryText,
    /// In `query`, and another one in `queryText`.
    QueryBesideAnother,
}

fn session_a() -> String {
    "a".to_owned()
}

fn one() -> u32 {
    1
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// A query on the permutation's surface.
    Query,
    /// A health check.
    Health,
    /// A metadata call.
    Tables,
    /// Changes the world.
    World,
    /// Ends the subject and starts it anew; its sessions are opened again when they are needed.
    Restart,
    /// The runner calls the server under test.
    Call,
    /// An HTTP client sends one batch.
    Export,
}

impl Op {
    /// It is asked of a session.
    pub fn is_call(self) -> bool {
        match self {
            Self::Query | Self::Health | Self::Tables | Self::Export => true,
            Self::World | Self::Restart | Self::Call => false,
        }
    }
}

/// Changes of a world.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorldSet {
    /// `off`: the stalled endpoint answers new requests.
    pub stall: Option<Off>,
    /// `off`: the issuer's faults end.
    pub fault: Option<Off>,
    /// New faults for the issuer `main` instead of the old ones. If one is about connections, those that are open are closed.
    pub issuer_fault: Option<Vec<IssuerFault>>,
    /// The issuer signs with a new key.
    pub rotate_keys: bool,
    /// Server and protected endpoint refuse every token that was issued so far.
    pub refuse_tokens: bool,
    /// New faults for the server instead of the old ones; an empty list ends them.
    pub server_fault: Option<Vec<ServerFault>>,
    /// New faults for the protected endpoint instead of the old ones; an empty list ends them.
    pub resource_fault: Option<Vec<ResourceFault>>,
    /// The issuer closes the connections that are open.
    pub hang_up: bool,
    /// The issuer publishes its newest key only.
    pub withdraw_keys: bool,
}

/// The word `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Off {
    /// Off.
    Off,
}

/// One rule that a recording is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name.
    pub id: String,
    /// Keyword of RFC 2119.
    pub level: Level,
    /// Other levels for some values of the matrix: the values and `level`.
    #[serde(default)]
    pub level_if: Vec<BTreeMap<String, Value>>,
    /// The rule, as a sentence.
    pub claim: String,
    /// Requirements that it tests.
    pub covers: Vec<String>,
    /// Evidence that the subject got far enough; without it the check is not testable.
    #[serde(default)]
    pub requires: Vec<RawClause>,
    /// What must hold.
    pub expect: Vec<RawClause>,
    /// Of a rule: which kind of subject it is for.
    pub subject: Option<SubjectKind>,
}

/// Keyword of RFC 2119.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Not met: fail.
    Must,
    /// Not met: warn.
    Should,
    /// Not met: reported.
    May,
}
