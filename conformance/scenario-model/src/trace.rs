//! The events of one permutation, in order, and what clauses ask of them.

use crate::clause::Selection;
use crate::event::{Event, Fact, StepBegin, StepEnd};
use crate::moment::Window;

/// The events of one permutation.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    events: Vec<Event>,
    fields: Vec<serde_json::Value>,
}

impl Trace {
    /// Puts events in the order of their time.
    pub fn new(mut events: Vec<Event>) -> Self {
        events.sort_by_key(|e| (e.at_us, e.seq));
        let fields = events.iter().map(|e| e.fact.fields()).collect();
        Self { events, fields }
    }

    /// All events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The begin of a step.
    pub fn begin(&self, step: &str) -> Option<(&Event, &StepBegin)> {
        self.events.iter().find_map(|e| match &e.fact {
            Fact::StepBegin(b) if b.step == step => Some((e, b)),
            _ => None,
        })
    }

    /// The end of a step.
    pub fn end(&self, step: &str) -> Option<(&Event, &StepEnd)> {
        self.events.iter().find_map(|e| match &e.fact {
            Fact::StepEnd(s) if s.step == step => Some((e, s)),
            _ => None,
        })
    }

    /// A window in microseconds; a step that never ended lasts to the end of the trace.
    pub fn bounds(&self, window: &Window) -> Option<(u64, u64)> {
        let (from, _) = self.begin(&window.from).or_else(|| self.world_change(&window.from))?;
        let last = self.events.last().map_or(0, |e| e.at_us);
        let to = match (self.end(&window.to), self.begin(&window.to)) {
            (Some((end, _)), _) => end.at_us,
            (None, Some(_)) => last,
            (None, None) => self.world_change(&window.to)?.0.at_us,
        };
        Some((from.at_us, to))
    }

    fn world_change(&self, step: &str) -> Option<(&Event, &StepBegin)> {
        static NO_CALLS: StepBegin =
            StepBegin { step: String::new(), op: String::new(), session: String::new(), calls: 0 };
        self.events.iter().find_map(|e| match &e.fact {
            Fact::WorldChange(change) if change.step == step => Some((e, &NO_CALLS)),
            _ => None,
        })
    }

    /// The events that a clause selects; `None` if its window never opened.
    pub fn select(&self, wanted: &Selection) -> Option<Vec<(&Event, &serde_json::Value)>> {
        let bounds = match &wanted.window {
            Some(window) => Some(self.bounds(window)?),
            None => None,
        };
        let chosen = self
            .events
            .iter()
            .zip(&self.fields)
            .filter(|(event, _)| event.fact.kind() == wanted.kind)
            .filter(|(event, _)| bounds.is_none_or(|(from, to)| (from..=to).contains(&event.at_us)))
            .filter(|(_, fields)| wanted.filter.iter().all(|(field, value)| fields[field] == *value))
            .collect();
        Some(chosen)
    }

    /// For how long the machine stalled in a window (or at all), in milliseconds; nothing if it did not.
    pub fn stalled(&self, window: Option<&Window>) -> Option<u64> {
        let bounds = window.and_then(|w| self.bounds(w));
        let total: u64 = self
            .events
            .iter()
            .filter(|e| bounds.is_none_or(|(from, to)| (from..=to).contains(&e.at_us)))
            .filter_map(|e| match &e.fact {
                Fact::HostStall(stall) => Some(stall.gap_ms),
                _ => None,
            })
            .sum();
        (total > 0).then_some(total)
    }
}
