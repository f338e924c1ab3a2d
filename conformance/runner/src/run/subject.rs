//! A subject, however it is driven: started, asked, ended.

use std::sync::Arc;
use std::time::Duration;

use reference_client::Behaviour;
use scenario_model::manifest::Drive;
use serde_json::{Map, Value};

use crate::canary::Canaries;
use crate::recorder::Recorder;
use crate::render::CaFile;
use crate::run::lines::Lines;
use crate::run::plugin::{Host, PluginProgram, Tenant};
use crate::run::process::{Program, StartError};
use crate::run::server::ServerLaunch;
use crate::target::Target;

/// How to start a subject.
#[derive(Debug, Clone)]
pub enum Launch {
    /// As a process of its own that speaks JSON lines.
    Process(Program),
    /// The reference client, as a task of this process.
    Inside(Behaviour),
    /// As a process that is driven as Grafana drives its plugins.
    Plugin(PluginProgram),
    /// As a server that the runner calls.
    Server(ServerLaunch),
}

impl Launch {
    /// As its manifest says.
    pub fn new(target: &Target, ca: &CaFile, more_args: &[String]) -> Self {
        let program = Program::new(&target.manifest, &target.folder, ca, more_args);
        match target.manifest.drive {
            Drive::Stdio => Self::Process(program),
            Drive::GrafanaPlugin => Self::Plugin(PluginProgram::new(program, target)),
            Drive::Server => {
                let settings = target.manifest.server.clone().expect("a server's manifest says where it is");
                Self::Server(ServerLaunch::Process(program, settings))
            }
        }
    }

    /// All permutations in one process, where the drive allows it.
    pub fn shared(&self) -> Self {
        match self {
            Self::Process(_) | Self::Inside(_) | Self::Server(_) => self.clone(),
            Self::Plugin(plugin) => Self::Plugin(plugin.shared()),
        }
    }

    /// A process for each permutation.
    pub fn alone(&self) -> Self {
        match self {
            Self::Process(_) | Self::Inside(_) | Self::Server(_) => self.clone(),
            Self::Plugin(plugin) => Self::Plugin(plugin.alone()),
        }
    }

    /// What all permutations share.
    pub fn host(&self) -> Option<&Arc<Host>> {
        match self {
            Self::Process(_) | Self::Inside(_) | Self::Server(_) => None,
            Self::Plugin(plugin) => plugin.host(),
        }
    }
}

/// A reply of a subject.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `ok` with its members.
    Ok(Map<String, Value>),
    /// `error` with its message.
    Error(String),
    /// The subject is gone.
    Gone,
}

/// An answer with what it leaked.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What was said, redacted.
    pub answer: Answer,
    /// Which secrets the line held.
    pub leaks: Vec<String>,
}

/// A running subject.
#[derive(Debug)]
pub enum Subject {
    /// It speaks JSON lines.
    Lines(Lines),
    /// It is a plugin.
    Plugin(Tenant),
}

impl Subject {
    /// Starts a subject.
    ///
    /// # Errors
    /// If the program cannot be executed.
    pub fn start(
        launch: &Launch,
        recorder: &Arc<Recorder>,
        canaries: &Arc<Canaries>,
    ) -> Result<Self, StartError> {
        Ok(match launch {
            Launch::Process(program) => Self::Lines(Lines::start(program, recorder, canaries)?),
            Launch::Inside(behaviour) => Self::Lines(Lines::inside(*behaviour, recorder, canaries)),
            Launch::Plugin(program) => Self::Plugin(Tenant::start(program, recorder, canaries)?),
            Launch::Server(_) => unreachable!("a server is called, not driven"),
        })
    }

    /// Sends a request and waits for its reply, as long as the caller likes.
    pub async fn call(&self, request: Map<String, Value>) -> Reply {
        match self {
            Self::Lines(lines) => lines.call(request).await,
            Self::Plugin(tenant) => tenant.call(request).await,
        }
    }

    /// Sends the `queries` of a request as one and waits for the reply to each; only a plugin takes several.
    pub async fn call_together(&self, request: Map<String, Value>, queries: usize) -> Vec<Reply> {
        match self {
            Self::Lines(_) => {
                let answer = Answer::Error("the subject takes one query at a time".to_owned());
                vec![Reply { answer, leaks: Vec::new() }; queries]
            }
            Self::Plugin(tenant) => tenant.call_together(request, queries).await,
        }
    }

    /// Waits until the subject answers, so that its start does not count in the time of its first step; whether it did.
    pub async fn ready(&self, limit: Duration) -> bool {
        let hello = Map::from_iter([("op".to_owned(), Value::from("hello"))]);
        tokio::time::timeout(limit, self.call(hello)).await.is_ok()
    }

    /// Asks it to end, waits for that, ends what is left over, and records all of it.
    pub async fn finish(self, limit: Duration) {
        match self {
            Self::Lines(lines) => lines.finish(limit).await,
            Self::Plugin(tenant) => tenant.finish(limit).await,
        }
    }
}
