//! The chameleon: a correct Flight SQL client with named defects and benign variants.
//!
//! It speaks the stdio protocol, and as a Grafana plugin, so that the runner drives it like any other subject; it proves that the
//! suite's checks can fail. It never knows which scenario runs, and knows neither the servers nor the judge.

mod attribution;
mod behaviour;
mod client;
mod command_line;
mod config;
mod export;
mod failure;
mod flight;
mod http;
mod log;
mod named;
mod oauth;
mod options;
mod plugin;
mod redact;
mod secret;
mod session;
mod stdio;
mod tls;

pub use behaviour::{Behaviour, Defect, Variant};
pub use command_line::main_stdio;
pub use named::UnknownName;
pub use stdio::{End, serve};
