//! Who is run: the reference client and the reference server, as they should be, with a defect, or with a variant.

use std::collections::BTreeSet;

use flightsql_server::Defect as ServerDefect;
use reference_client::{Behaviour, Defect, Variant};
use scenario_model::diagnostic::word_help;
use scenario_model::manifest::Drive;

use crate::operator::OperatorError;
use crate::render::CaFile;
use crate::run::subject::Launch;
use crate::run::world::Mutation;
use crate::server_defects;
use crate::target::Target;

/// Defects that do nothing real: no check may pass for them.
pub const DO_NOTHING: [Defect; 5] =
    [Defect::Null, Defect::Liar, Defect::Silent, Defect::Crash, Defect::EarlyExit];

/// Defects of the process itself, which a task cannot have.
const OF_THE_PROCESS: [Defect; 6] =
    [Defect::Crash, Defect::EarlyExit, Defect::Segv, Defect::NonzeroExit, Defect::Lingers, Defect::Orphan];

/// Defects that mix up what one process holds: with all permutations in one, luck would decide who meets whom.
const ACROSS_SESSIONS: [Defect; 11] = [
    Defect::SharedTooBroadly,
    Defect::KeyedByClientId,
    Defect::PoolsByHost,
    Defect::UserOfTheProcess,
    Defect::SwitchOfTheProcess,
    Defect::GlobalLock,
    Defect::StallHoldsLock,
    Defect::FirstFails,
    Defect::WorksOnce,
    Defect::EightAtATime,
    Defect::KnowsIssuerAlready,
];

/// One way for the reference client to behave.
#[derive(Debug, Clone, Copy)]
pub enum Who {
    Clean,
    Defect(Defect),
    Variant(Variant),
    /// The correct client, in worlds that are wrong.
    World(Mutation),
    /// The reference server, as it should be or with a defect.
    Server(Option<ServerDefect>),
}

impl Who {
    pub fn all() -> Vec<Self> {
        let defects = Defect::ALL.iter().copied().map(Self::Defect);
        let variants = Variant::ALL.iter().copied().map(Self::Variant);
        let servers =
            std::iter::once(None).chain(ServerDefect::ALL.iter().copied().map(Some)).map(Self::Server);
        let worlds = Mutation::ALL.map(Self::World);
        std::iter::once(Self::Clean).chain(variants).chain(defects).chain(worlds).chain(servers).collect()
    }

    pub fn name(self) -> String {
        match self {
            Self::Clean => "clean".to_owned(),
            Self::Defect(defect) => defect.name().to_owned(),
            Self::Variant(variant) => variant.name().to_owned(),
            Self::World(mutation) => world_name(mutation),
            Self::Server(defect) => server_defects::name(defect),
        }
    }

    /// Everything is run of it, also in a sample: whoever must pass everything, or nothing.
    pub fn is_run_whole(self) -> bool {
        match self {
            Self::Clean | Self::Variant(_) | Self::Server(None) => true,
            Self::Defect(defect) => DO_NOTHING.contains(&defect),
            Self::World(_) => false,
            Self::Server(Some(defect)) => server_defects::DO_NOTHING.contains(&defect),
        }
    }

    /// What is wrong with its worlds.
    pub fn mutation(self) -> Option<Mutation> {
        match self {
            Self::World(mutation) => Some(mutation),
            Self::Clean | Self::Defect(_) | Self::Variant(_) | Self::Server(_) => None,
        }
    }

    pub fn is_server(self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// A process where the defect is one of the process, else a task of this one: that costs less. A plugin is always a
    /// process, one for all permutations unless they would disturb each other there.
    pub fn launch(self, target: &Target, ca: &CaFile) -> Launch {
        if target.manifest.drive == Drive::GrafanaPlugin {
            let args = match self {
                Self::Clean | Self::World(_) => Vec::new(),
                Self::Defect(defect) => vec!["--defect".to_owned(), defect.name().to_owned()],
                Self::Variant(variant) => vec!["--variant".to_owned(), variant.name().to_owned()],
                Self::Server(_) => unreachable!("servers are not driven as plugins"),
            };
            let alone = matches!(self, Self::Defect(defect) if ACROSS_SESSIONS.contains(&defect));
            let launch = Launch::new(target, ca, &args);
            return if alone { launch } else { launch.shared() };
        }
        let behaviour = match self {
            Self::Clean | Self::World(_) => Behaviour::default(),
            Self::Defect(defect) if OF_THE_PROCESS.contains(&defect) => {
                let args = ["--defect".to_owned(), defect.name().to_owned()];
                return Launch::new(target, ca, &args);
            }
            Self::Defect(defect) => Behaviour::with_defect(defect),
            Self::Variant(variant) => Behaviour::with_variant(variant),
            Self::Server(defect) => return server_defects::launch(defect, target, ca),
        };
        Launch::Inside(behaviour)
    }
}

/// The name of a wrong world in the matrix.
pub fn world_name(mutation: Mutation) -> String {
    format!("world:{}", mutation.name())
}

/// The name is one of a defect or variant.
///
/// # Errors
/// If not, with the nearest.
pub fn known_behaviour(option: &str, name: &str) -> Result<(), OperatorError> {
    let known: Vec<&str> = match option {
        "--defect" => Defect::ALL.iter().map(|d| d.name()).collect(),
        _ => Variant::ALL.iter().map(|v| v.name()).collect(),
    };
    if known.contains(&name) {
        return Ok(());
    }
    let what = if option == "--defect" { "defect" } else { "variant" };
    Err(OperatorError::Unknown { what, name: name.to_owned(), help: word_help(name, known.iter().copied()) })
}

/// The name is one of a defect of the reference server.
///
/// # Errors
/// If not, with the nearest.
pub fn known_server_defect(name: &str) -> Result<(), OperatorError> {
    let known: Vec<&str> = ServerDefect::ALL.iter().map(|d| d.name()).collect();
    if known.contains(&name) {
        return Ok(());
    }
    let help = word_help(name, known.iter().copied());
    Err(OperatorError::Unknown { what: "defect", name: name.to_owned(), help })
}

/// Behaviours that do nothing real, by name.
pub fn do_nothing() -> BTreeSet<String> {
    let clients = DO_NOTHING.iter().map(|defect| defect.name().to_owned());
    clients.chain(server_defects::DO_NOTHING.map(|defect| server_defects::name(Some(defect)))).collect()
}
