//! What a configuration may say word by word, and yet cannot work.

use std::collections::HashMap;

use crate::config::{Clients, Config};
use crate::did_you_mean;
use crate::endpoint::Endpoint;
use crate::host::is_root;

/// The settings of an issuer fit together.
pub(super) fn issuer(config: &Config) -> Result<(), String> {
    paths(config)?;
    clients(config)?;
    for rule in &config.token.rules {
        let whole = rule.matches == "*" || regex_lite::Regex::new(&format!("^(?:{})$", rule.matches)).is_ok();
        if !whole {
            return Err(format!("`{}` is no regular expression (`matches` of a rule)", rule.matches));
        }
    }
    Ok(())
}

fn paths(config: &Config) -> Result<(), String> {
    let root = &config.paths.issuer;
    if !root.is_empty() && (!root.starts_with('/') || root.ends_with('/')) {
        return Err(format!("`{root}` has to begin with a slash and not to end in one (`paths.issuer`)"));
    }
    let mut seen: HashMap<String, Endpoint> = HashMap::new();
    for endpoint in Endpoint::SERVED {
        let path = config.paths.of(endpoint).unwrap_or_default();
        let name = endpoint.as_str();
        if !path.starts_with('/') {
            return Err(format!("`{path}` has to begin with a slash (path of {name})"));
        }
        if let Some(other) = seen.insert(path.clone(), endpoint) {
            let other = other.as_str();
            return Err(format!("`{path}` is there twice: path of {other} and of {name}"));
        }
    }
    Ok(())
}

fn clients(config: &Config) -> Result<(), String> {
    let (Clients::Known(clients) | Clients::Registered(clients)) = &config.clients else { return Ok(()) };
    for (nth, client) in clients.iter().enumerate() {
        if client.id.is_empty() {
            return Err(format!("client {}: its `id` is missing", nth + 1));
        }
        if clients[..nth].iter().any(|c| c.id == client.id) {
            return Err(format!("`{}` is there twice (`id` of a client)", client.id));
        }
    }
    Ok(())
}

/// The path of an issuer with settings of its own.
pub(super) fn path(path: &str) -> Result<(), String> {
    if path != "/" && !path.starts_with('/') {
        return Err(format!("its path has to begin with a slash: write `[issuers.\"/{path}\"]`"));
    }
    if !is_root(path.trim_end_matches('/')) {
        return Err("its path has to be a plain path, and not below `/_mock` or `/_elsewhere`".to_owned());
    }
    Ok(())
}

/// A base URL is one.
pub(super) fn base_url(text: &str) -> Result<(), String> {
    let url = url::Url::parse(text).map_err(|e| format!("`{text}` is no URL: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("`{text}` has to begin with `http://` or `https://` and a host"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{text}` must have neither query nor fragment"));
    }
    Ok(())
}

/// `without` names quirks, and quirks belong to profiles.
pub(super) fn quirks_without_profile(without: &[String]) -> Result<(), String> {
    let Some(name) = without.first() else { return Ok(()) };
    let profiles: Vec<_> = crate::profile::names().filter_map(|p| crate::profile::find(p).ok()).collect();
    let quirks = profiles.iter().flat_map(|p| p.quirk.keys().map(String::as_str));
    let hint = did_you_mean::among(name, quirks);
    Err(format!("`{name}` is to be left out, but of no profile{hint}: say `profile`, too"))
}
