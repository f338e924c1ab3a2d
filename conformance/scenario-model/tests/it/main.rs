//! The catalogue that ships, mistakes in scenario files, what is planned, what the judge makes of a record, and reports of runs.

mod catalogue;
mod facts;
mod loosened;
mod merge;
mod mistakes;
mod plan;
mod recorded;
mod report;
mod schema;
mod truth;
