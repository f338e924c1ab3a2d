//! One process for all permutations of a run, as in Grafana; a new one only when that has died.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use scenario_model::event::SubjectExit;

use crate::canary::Canaries;
use crate::recorder::Recorder;
use crate::run::plugin::process::{PluginProcess, PluginProgram};
use crate::run::plugin::tenants::Tenants;
use crate::run::process::StartError;

/// The processes of a run, in the order in which they were needed.
#[derive(Debug, Default)]
pub struct Host(Mutex<Vec<Arc<PluginProcess>>>);

impl Host {
    /// Enters the process that lives, or a new one.
    ///
    /// # Errors
    /// If it cannot be executed.
    pub fn enter(
        &self,
        program: &PluginProgram,
        recorder: &Arc<Recorder>,
        canaries: &Arc<Canaries>,
    ) -> Result<(Arc<PluginProcess>, u64), StartError> {
        let mut processes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = processes.last().filter(|last| !*last.gone.borrow()) {
            return Ok((last.clone(), last.tenants.enter(recorder, canaries)));
        }
        let tenants = Tenants::default();
        let key = tenants.enter(recorder, canaries);
        let next = PluginProcess::start(program, tenants)?;
        processes.push(next.clone());
        Ok((next, key))
    }

    /// Ends all processes. How the only one ended and what it left over; `None` if there were several, as one had died.
    pub async fn shut_down(&self, limit: Duration) -> Option<(SubjectExit, u32)> {
        let processes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut ends = Vec::new();
        for process in processes {
            ends.push(process.shut_down(limit).await);
        }
        if ends.len() == 1 { ends.pop() } else { None }
    }
}
