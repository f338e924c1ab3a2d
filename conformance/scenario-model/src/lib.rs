//! Scenario, plan, event, clause, judge, verdict and report as data.
//!
//! Data goes one way: a scenario file becomes permutations (`load`, `plan`), a run of them becomes events (elsewhere),
//! and events become verdicts and a report (`judge`, `report`). This crate does no I/O, reads no clock, and knows no
//! runtime and no network.

pub mod baseline;
pub mod bundle;
pub mod call;
pub mod catalogue;
pub mod clause;
pub mod diagnostic;
pub mod document;
pub mod event;
pub mod judge;
pub mod junit;
pub mod known_failures;
pub mod lint;
pub mod load;
pub mod manifest;
pub mod merge;
pub mod moment;
pub mod plan;
pub mod provider;
pub mod report;
pub mod request;
pub mod requirements;
pub mod saved;
pub mod scenario;
pub mod timeline;
pub mod trace;
pub mod verdict;
mod vocabulary;
