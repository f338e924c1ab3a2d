//! The first line that a go-plugin process prints: where it listens and what it speaks.

use std::path::PathBuf;

use plugin_protocol::{APP_PROTOCOL, CORE_PROTOCOL};

/// Where a plugin listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// Why a first line is not one that Grafana could work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// No handshake at all.
    #[error(
        "its first line on stdout is `{line}`, not a handshake such as `1|2|unix|/path|grpc`: nothing may be printed before `datasource.Manage`"
    )]
    NoHandshake {
        /// What it printed.
        line: String,
    },
    /// Another version of go-plugin itself.
    #[error(
        "it speaks go-plugin's core protocol {found}, Grafana speaks {CORE_PROTOCOL}: build it with another go-plugin"
    )]
    Core {
        /// What it speaks.
        found: String,
    },
    /// Another version of Grafana's plugin protocol.
    #[error(
        "it speaks version {found} of the plugin protocol, Grafana speaks {APP_PROTOCOL}: build it with another grafana-plugin-sdk-go"
    )]
    App {
        /// What it speaks.
        found: String,
    },
    /// `netrpc`.
    #[error("it serves `{found}`, Grafana speaks `grpc` only")]
    Wire {
        /// What it serves.
        found: String,
    },
    /// It offers a certificate.
    #[error("it wants AutoMTLS, which Grafana does not use: leave `AutoMTLS` and `TLSProvider` unset")]
    AutoMtls,
    /// Neither Unix nor TCP.
    #[error("it listens on `{found}`, expected `unix` or `tcp`")]
    Network {
        /// What it says.
        found: String,
    },
}

/// Reads the first line: `core|app|network|address|wire|certificate`, the last two of which may be missing.
///
/// # Errors
/// What Grafana could not work with.
pub fn read(line: &str) -> Result<Address, HandshakeError> {
    let fields: Vec<&str> = line.trim().split('|').collect();
    let [core, app, network, address, more @ ..] = &fields[..] else {
        let line = line.trim().chars().take(120).collect();
        return Err(HandshakeError::NoHandshake { line });
    };
    if *core != CORE_PROTOCOL.to_string() {
        return Err(HandshakeError::Core { found: (*core).to_owned() });
    }
    if *app != APP_PROTOCOL.to_string() {
        return Err(HandshakeError::App { found: (*app).to_owned() });
    }
    match more.first() {
        Some(&"grpc") => {}
        // A line without the field is one of net/rpc.
        other => {
            let found = other.filter(|w| !w.is_empty()).map_or("netrpc", |w| *w).to_owned();
            return Err(HandshakeError::Wire { found });
        }
    }
    if more.get(1).is_some_and(|certificate| !certificate.is_empty()) {
        return Err(HandshakeError::AutoMtls);
    }
    match *network {
        "unix" => Ok(Address::Unix(PathBuf::from(*address))),
        "tcp" => Ok(Address::Tcp((*address).to_owned())),
        other => Err(HandshakeError::Network { found: other.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<Address, &str>) {
        match (read(line), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(part)) => assert!(found.to_string().contains(part), "{found}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn both_networks_are_read_with_and_without_further_fields() {
        check("1|2|unix|/tmp/s|grpc|", Ok(Address::Unix("/tmp/s".into())));
        check("1|2|unix|/tmp/s|grpc\n", Ok(Address::Unix("/tmp/s".into())));
        check("1|2|tcp|127.0.0.1:7|grpc||true\r\n", Ok(Address::Tcp("127.0.0.1:7".into())));
    }

    #[test]
    fn what_grafana_cannot_work_with_is_named() {
        check("hello", Err("its first line on stdout is `hello`"));
        check("", Err("not a handshake"));
        check("2|2|unix|/tmp/s|grpc", Err("core protocol 2"));
        check("1|1|unix|/tmp/s|grpc", Err("version 1 of the plugin protocol"));
        check("1|2|unix|/tmp/s", Err("serves `netrpc`"));
        check("1|2|unix|/tmp/s|grpc|MIIB", Err("AutoMTLS"));
        check("1|2|udp|x|grpc|", Err("listens on `udp`"));
    }
}
