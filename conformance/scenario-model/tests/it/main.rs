//! The catalogue that ships, mistakes in scenario files, and what the judge makes of a record.

mod catalogue;
mod mistakes;
mod truth;
