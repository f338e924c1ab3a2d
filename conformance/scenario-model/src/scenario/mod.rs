//! A scenario: one situation, its steps, its checks. The form of the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::SubjectKind;
use crate::clause::RawClause;

mod server;
mod session;
mod step;
mod world;

pub use server::*;
pub use session::*;
pub use step::*;
pub use world::*;

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
