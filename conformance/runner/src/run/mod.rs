//! Everything that does I/O: worlds, subjects, steps, lanes. It records; it never judges.

pub mod calibrate;
pub mod faults;
pub mod lines;
pub mod log;
pub mod permutation;
pub mod plugin;
pub mod probe;
pub mod process;
pub mod resource;
pub mod schedule;
pub mod server;
pub mod steps;
pub mod subject;
pub mod translate;
pub mod world;
