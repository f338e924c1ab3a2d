//! What a scenario does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IssuerFault, ResourceFault, ServerFault};
use crate::call::Call;
use crate::moment::{Moment, Seconds};

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
