//! Worlds that are wrong on purpose, to prove that no check believes a world that is not as its scenario says.

use std::sync::Arc;

use flightsql_server as flight;
use mock_idp as idp;

use super::WorldSpec;
use crate::run::translate::Translator;

/// One way for a world to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing of what should go wrong does.
    Untroubled,
    /// Tokens live for a day, whatever the scenario wants.
    NeverExpires,
    /// The server looks at no credentials and serves every call.
    ServesEverybody,
    /// Nothing of what happens at the server is recorded.
    ServerUnheard,
    /// Nothing of what happens at the issuers is recorded.
    IssuerUnheard,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Untroubled,
        Self::NeverExpires,
        Self::ServesEverybody,
        Self::ServerUnheard,
        Self::IssuerUnheard,
    ];

    /// Its name in the matrix, after `world:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Untroubled => "untroubled",
            Self::NeverExpires => "never-expires",
            Self::ServesEverybody => "serves-everybody",
            Self::ServerUnheard => "server-unheard",
            Self::IssuerUnheard => "issuer-unheard",
        }
    }

    /// One sentence: what is wrong.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Untroubled => "nothing of what should go wrong does",
            Self::NeverExpires => "tokens live for a day, whatever the scenario wants",
            Self::ServesEverybody => "the server looks at no credentials and serves every call",
            Self::ServerUnheard => "nothing of what happens at the server is recorded",
            Self::IssuerUnheard => "nothing of what happens at the issuers is recorded",
        }
    }

    /// The world as it is then.
    pub(super) fn of(self, mut spec: WorldSpec) -> WorldSpec {
        if self == Self::Untroubled {
            for (issuer, _) in spec.issuers.values_mut() {
                issuer.fault.clear();
                issuer.stall = None;
            }
            spec.server.fault.clear();
            spec.server.tls = None;
            spec.resource.iter_mut().for_each(|resource| resource.fault.clear());
        }
        spec
    }

    /// Steps change nothing.
    pub(super) fn stays_as_it_is(self) -> bool {
        self == Self::Untroubled
    }

    /// How long its tokens live, in seconds.
    pub(super) fn lifetime(this: Option<Self>, seconds: u64) -> u64 {
        if this == Some(Self::NeverExpires) { 24 * 3600 } else { seconds }
    }

    /// What the server does wrong.
    pub(super) fn defect(this: Option<Self>) -> Option<flight::Defect> {
        (this == Some(Self::ServesEverybody)).then_some(flight::Defect::ServesEverybody)
    }

    /// Who hears of what happens at the server.
    pub(super) fn server_recorder(this: Option<Self>, notes: Arc<Translator>) -> flight::Recorder {
        match this {
            Some(Self::ServerUnheard) => Arc::new(drop),
            _ => Arc::new(move |record| notes.server(&record)),
        }
    }

    /// Who hears of what happens at an issuer.
    pub(super) fn issuer_recorder(this: Option<Self>, notes: Arc<Translator>) -> idp::Recorder {
        match this {
            Some(Self::IssuerUnheard) => Arc::new(drop),
            _ => Arc::new(move |record| notes.issuer(&record)),
        }
    }
}
