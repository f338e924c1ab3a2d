//! Drives a Grafana data-source plugin as Grafana does: starts it, shakes hands, asks, shuts it down.
//!
//! A session is a data source with an id of its own, so that one process can serve many.

mod answer;
mod handshake;
mod hclog;
mod host;
mod process;
mod settings;
mod tenant;
mod tenants;

pub use host::Host;
pub use process::PluginProgram;
pub use tenant::Tenant;
