//! Where an issuer is, as it tells its clients.

use crate::config::{Config, Listeners, Scheme};
use crate::endpoint::Endpoint;

/// The ports of a process.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    pub(crate) scheme: &'static str,
    pub(crate) host: String,
    /// The first is for everything that has none of its own.
    pub(crate) ports: Vec<(Endpoint, u16)>,
}

impl Origins {
    pub(crate) fn new(config: &Config, ports: Vec<(Endpoint, u16)>) -> Self {
        let scheme = match config.scheme {
            Scheme::Http => "http",
            Scheme::Https(_) => "https",
        };
        Self { scheme, host: published(&config.host), ports }
    }

    /// The base URL of an endpoint; `named` is the host that the request named.
    fn base(&self, endpoint: Endpoint, config: &Config, named: Option<&str>) -> String {
        let front = config.front_base_url.as_deref();
        let back = config.back_base_url.as_deref();
        let fixed =
            if endpoint.is_front() || endpoint == Endpoint::Discovery { front } else { back.or(front) };
        if let Some(fixed) = fixed {
            return fixed.trim_end_matches('/').to_owned();
        }
        let own_ports = config.listeners == Listeners::PerEndpoint;
        if let Some(named) = named.filter(|n| config.follow_host && !own_ports && is_authority(n)) {
            return format!("{}://{named}", self.scheme);
        }
        let port =
            self.ports.iter().find(|(e, _)| *e == endpoint).or(self.ports.first()).map_or(0, |(_, p)| *p);
        format!("{}://{}:{port}", self.scheme, self.host)
    }
}

/// A host and perhaps a port, and nothing that would change a URL's meaning.
fn is_authority(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_'))
}

/// A host as it stands in a URL; who listens everywhere is here, too.
fn published(host: &str) -> String {
    if host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        return "localhost".to_owned();
    }
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

/// The same port by another name of this machine: another origin.
pub(crate) fn by_another_name(origin: &str) -> String {
    let (scheme, authority) = origin.split_once("://").unwrap_or(("http", origin));
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let other = if host == "localhost" { "127.0.0.1" } else { "localhost" };
    if port.is_empty() { format!("{scheme}://{other}") } else { format!("{scheme}://{other}:{port}") }
}

/// The addresses of one issuer.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// `iss` of its tokens.
    pub(crate) issuer: String,
    /// `issuer` of its metadata; the same, but for a quirk.
    pub(crate) published: String,
    /// Last part of its path.
    pub(crate) tenant: String,
    root: String,
    bases: [(Endpoint, String); 3],
}

/// What stands for the tenant in tokens of `…/common`.
const SOME_TENANT: &str = "9122040d-6c67-4c5b-b112-36a304b66dad";

impl Place {
    pub(crate) fn new(origins: &Origins, config: &Config, root: &str, named: Option<&str>) -> Self {
        let base = |endpoint| origins.base(endpoint, config, named);
        let front = base(Endpoint::Discovery);
        let mut token = base(Endpoint::Token);
        if config.quirks.token_on_another_host {
            token = by_another_name(&token);
        }
        let tenant = root.rsplit('/').next().filter(|t| !t.is_empty()).unwrap_or("common").to_owned();
        let slash = if config.trailing_slash { "/" } else { "" };
        let as_written = |tenant: &str| match &config.issuer_template {
            Some(template) => {
                let values = [("origin", front.as_str()), ("root", root), ("tenant", tenant)];
                crate::answer::filled_text(template, &values)
            }
            None => format!("{front}{root}{}{slash}", config.paths.issuer),
        };
        let is_common = config.quirks.literal_tenantid_for_common && tenant == "common";
        let (issuer, published) = if is_common {
            let of = |t: &str| as_written(t).replacen("/common", &format!("/{t}"), 1);
            (of(SOME_TENANT), of("{tenantid}"))
        } else {
            let issuer = as_written(&tenant);
            (issuer.clone(), issuer)
        };
        let bases =
            [(Endpoint::Discovery, front), (Endpoint::Token, token), (Endpoint::Jwks, base(Endpoint::Jwks))];
        Self { issuer, published, tenant, root: root.to_owned(), bases }
    }

    /// The URL of an endpoint.
    pub(crate) fn url(&self, endpoint: Endpoint, config: &Config) -> String {
        let base = match endpoint {
            Endpoint::Token => &self.bases[1].1,
            e if e == Endpoint::Discovery || e.is_front() => &self.bases[0].1,
            _ if config.listeners == Listeners::PerEndpoint && endpoint != Endpoint::Jwks => &self.bases[0].1,
            _ => &self.bases[2].1,
        };
        format!("{base}{}{}", self.root, config.paths.of(endpoint).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_follows_the_host_only_if_told_and_never_a_strange_one() {
        let mut config = Config::default();
        let origins = Origins::new(&config, vec![(Endpoint::Any, 8080)]);
        let place = |config: &Config, named| Place::new(&origins, config, "/a", Some(named)).issuer;
        assert_eq!(place(&config, "idp:1"), "http://127.0.0.1:8080/a");
        config.follow_host = true;
        assert_eq!(place(&config, "idp:1"), "http://idp:1/a");
        assert_eq!(place(&config, "idp/evil?"), "http://127.0.0.1:8080/a");
    }

    #[test]
    fn front_and_back_channel_have_their_own_addresses() {
        let config = Config {
            front_base_url: Some("http://localhost:9000".to_owned()),
            back_base_url: Some("http://idp:8080/".to_owned()),
            ..Config::default()
        };
        let origins = Origins::new(&config, vec![(Endpoint::Any, 8080)]);
        let place = Place::new(&origins, &config, "/a", None);
        assert_eq!(place.issuer, "http://localhost:9000/a");
        assert_eq!(place.url(Endpoint::Authorization, &config), "http://localhost:9000/a/authorize");
        assert_eq!(place.url(Endpoint::Token, &config), "http://idp:8080/a/oauth2/token");
        assert_eq!(place.url(Endpoint::Jwks, &config), "http://idp:8080/a/jwks");
    }
}
