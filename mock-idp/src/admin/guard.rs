//! Who may control a mock.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::request::Parts;
use http::{StatusCode, header};

use super::Refused;
use crate::call::{Peer, host_of, text_of};
use crate::config::Admin;

/// Lets a request in, or says why not.
pub(super) fn admit(admin: &Admin, peer: &Peer, parts: &Parts) -> Result<(), Refused> {
    let host = host_of(&parts.headers, &parts.uri).unwrap_or_default();
    if let Admin::Token(token) = admin {
        let header = text_of(&parts.headers, &header::AUTHORIZATION).unwrap_or_default();
        let sent =
            header.split_once(' ').filter(|(s, _)| s.eq_ignore_ascii_case("bearer")).map_or("", |(_, t)| t);
        let right = !admin.is_unguarded()
            && verify_slices_are_equal(sent.trim().as_bytes(), token.expose().as_bytes()).is_ok();
        // The admin port is on loopback, and needs none.
        if !right && !peer.by_admin_port {
            let message =
                "the control API of this mock needs `Authorization: Bearer <admin token>`".to_owned();
            return Err(Refused { status: StatusCode::UNAUTHORIZED, message });
        }
        if right {
            return same_origin(parts, &host);
        }
    }
    // A page of the web could reach us by a name of its own that leads to loopback (DNS rebinding).
    if !is_loopback_name(&host) {
        let message =
            format!("`/_mock` is open to this machine only, and `{host}` may be anybody; use localhost");
        return Err(Refused { status: StatusCode::FORBIDDEN, message });
    }
    same_origin(parts, &host)
}

/// A page of another origin does not control us (cross-site request forgery).
fn same_origin(parts: &Parts, host: &str) -> Result<(), Refused> {
    let origin = text_of(&parts.headers, &header::ORIGIN);
    let same = origin.as_deref().is_none_or(|o| o.split_once("://").is_some_and(|(_, h)| h == host));
    if same {
        return Ok(());
    }
    let message = "a page of another origin may not control this mock".to_owned();
    Err(Refused { status: StatusCode::FORBIDDEN, message })
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback_name;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for (host, expected) in [
            ("localhost:1", true),
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("idp.localhost", true),
            ("evil.example:1", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_loopback_name(host), expected, "{host}");
        }
    }
}
