//! The defects of the reference server in the self-test: who is run against the scenarios for servers.

use flightsql_server::Defect;

use crate::render::CaFile;
use crate::run::server::ServerLaunch;
use crate::run::subject::Launch;
use crate::target::Target;

/// In the matrix the servers stand apart from the clients.
const PREFIX: &str = "server:";

/// Defects that let nobody in: no check may pass for them.
pub const DO_NOTHING: [Defect; 1] = [Defect::RefusesEverybody];

/// Defects of the process itself, which a task cannot have.
const OF_THE_PROCESS: [Defect; 2] = [Defect::TokenInLog, Defect::DiesOfAnOddToken];

/// The name of a server in the matrix; of the correct one without a defect.
pub fn name(defect: Option<Defect>) -> String {
    format!("{PREFIX}{}", defect.map_or("clean", Defect::name))
}

/// A process where the defect is one of the process, else a task of this one: that costs less.
pub fn launch(defect: Option<Defect>, target: &Target, ca: &CaFile) -> Launch {
    match defect {
        Some(defect) if OF_THE_PROCESS.contains(&defect) => {
            Launch::new(target, ca, &["--defect".to_owned(), defect.name().to_owned()])
        }
        other => Launch::Server(ServerLaunch::Inside(other)),
    }
}
