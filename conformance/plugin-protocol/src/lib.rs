//! The messages between Grafana and a backend plugin: the part that a data source needs, both sides.
//!
//! Generated from `proto/`, whose wording is ours and whose names and numbers are the wire's. It never connects, listens or
//! starts anything.

/// What a host may ask of any go-plugin process.
#[expect(missing_docs, reason = "generated; the words stand in `proto/go_plugin.proto`")]
pub mod go_plugin {
    tonic::include_proto!("plugin");
}

/// What Grafana asks of a data source.
#[expect(missing_docs, reason = "generated; the words stand in `proto/pluginv2.proto`")]
pub mod pluginv2 {
    tonic::include_proto!("pluginv2");
}

/// What a plugin must find in its environment, to know that a host has started it.
pub const MAGIC_COOKIE: (&str, &str) = ("grafana_plugin_type", "datasource");
/// Version of go-plugin's own protocol.
pub const CORE_PROTOCOL: u32 = 1;
/// Version of the protocol between Grafana and its plugins.
pub const APP_PROTOCOL: u32 = 2;
