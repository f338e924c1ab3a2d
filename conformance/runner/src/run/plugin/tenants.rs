//! Who uses a plugin's process, and which line of its log belongs to whom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::canary::Canaries;
use crate::recorder::Recorder;
use crate::run::log::Noise;
use crate::run::plugin::hclog::readable;
use crate::run::plugin::settings::uid;

/// The permutations that a process serves now.
#[derive(Debug, Default)]
pub struct Tenants(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    noise: Noise,
    data_sources: Vec<String>,
}

impl Tenants {
    /// From now on lines are recorded here too; the key is for the other calls.
    pub fn enter(&self, recorder: &Arc<Recorder>, canaries: &Arc<Canaries>) -> u64 {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.next += 1;
        let key = inner.next;
        let noise = Noise::new(recorder, canaries);
        inner.open.insert(key, Open { noise, data_sources: Vec::new() });
        key
    }

    /// No more lines.
    pub fn leave(&self, key: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&key);
    }

    /// Lines that name this data source are this one's alone.
    pub fn owns(&self, key: u64, data_source: i64) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = inner.open.get_mut(&key) {
            open.data_sources.push(uid(data_source));
        }
    }

    /// A line of the log: to whose data source it names, or else to all.
    pub fn log(&self, line: &[u8]) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = &*readable(line);
        let text = String::from_utf8_lossy(line);
        let named =
            inner.open.iter().find(|(_, open)| open.data_sources.iter().any(|uid| text.contains(uid)));
        match named.map(|(key, _)| *key) {
            Some(key) => inner.open.get_mut(&key).expect("it was just found").noise.log(line),
            None => inner.open.values_mut().for_each(|open| open.noise.log(line)),
        }
    }

    /// Something on stdout after the handshake: to all.
    pub fn noise(&self, line: &[u8], reason: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.open.values_mut().for_each(|open| open.noise.noise(line, reason));
    }

    /// Something that is against the protocol, in an answer to one.
    pub fn noise_of(&self, key: u64, line: &[u8], reason: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = inner.open.get_mut(&key) {
            open.noise.noise(line, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use scenario_model::event::Fact;

    use super::*;

    #[test]
    fn a_line_that_names_a_data_source_goes_to_its_owner_and_any_other_to_all() {
        let tenants = Tenants::default();
        let canaries = Arc::new(Canaries::default());
        let recorders = [Recorder::new(), Recorder::new()];
        let keys = recorders.each_ref().map(|recorder| tenants.enter(recorder, &canaries));
        tenants.owns(keys[0], 1);
        tenants.owns(keys[1], 12);
        tenants.log(b"query failed dsUID=fc-000012");
        tenants.log(b"garbage collected");
        tenants.leave(keys[0]);
        tenants.log(b"after the first has left");
        let lines = recorders.map(|recorder| {
            let texts = recorder.finish().into_iter().filter_map(|event| match event.fact {
                Fact::SubjectStderr(line) => Some(line.text),
                _ => None,
            });
            texts.collect::<Vec<_>>()
        });
        assert_eq!(lines[0], ["garbage collected"]);
        assert_eq!(
            lines[1],
            ["query failed dsUID=fc-000012", "garbage collected", "after the first has left"]
        );
    }
}
