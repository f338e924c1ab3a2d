//! An issuer as a value: started on free ports, changed while it runs, stopped when dropped.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Config, Listeners, Scheme, StartError};
use crate::fault::{Endpoint, Fault, Faults, Gate};
use crate::listener::Listener;
use crate::record::IssuedToken;
use crate::service;

/// What the endpoints of an issuer share.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) urls: Urls,
    pub(crate) faults: Faults,
    pub(crate) tokens: Mutex<HashMap<String, IssuedToken>>,
    pub(crate) newest_key: AtomicUsize,
    pub(crate) oldest_key: AtomicUsize,
}

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Urls {
    pub(crate) issuer: String,
    pub(crate) discovery: String,
    pub(crate) token: String,
    pub(crate) jwks: String,
    pub(crate) introspection: String,
    pub(crate) back_channel: String,
}

/// A running issuer. Dropping it closes its ports and ends its connections.
pub struct MockIdp {
    state: Arc<State>,
    gates: Vec<(Endpoint, watch::Sender<Gate>)>,
    tasks: JoinSet<()>,
}

impl MockIdp {
    /// Starts an issuer.
    ///
    /// # Errors
    /// A port that cannot be listened on, or a path that is none.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let path_is_fine =
            config.path.is_empty() || (config.path.starts_with('/') && !config.path.ends_with('/'));
        if !path_is_fine {
            return Err(StartError::Path { path: config.path.clone() });
        }
        let endpoints: &[Endpoint] = match config.listeners {
            Listeners::Shared => &[Endpoint::Any],
            Listeners::PerEndpoint => &[Endpoint::Discovery, Endpoint::Token, Endpoint::Jwks],
        };
        let ip = config.host.parse().unwrap_or(std::net::IpAddr::from([127, 0, 0, 1]));
        let mut listeners = Vec::new();
        for (nth, endpoint) in endpoints.iter().enumerate() {
            let address = SocketAddr::new(ip, if nth == 0 { config.port } else { 0 });
            let recorder = Some(config.recorder.clone());
            listeners.push(Listener::bind(
                address,
                &config.name,
                *endpoint,
                config.scheme.clone(),
                recorder,
            )?);
        }
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut back = Listener::bind(loopback, &config.name, Endpoint::Any, Scheme::Http, None)?;
        let urls = urls(&config, &listeners, back.port());
        let state = Arc::new(State {
            urls,
            faults: Faults::default(),
            tokens: Mutex::default(),
            newest_key: AtomicUsize::new(0),
            oldest_key: AtomicUsize::new(0),
            config,
        });
        state.faults.replace(state.config.faults.clone());
        let mut tasks = JoinSet::new();
        let mut gates = Vec::new();
        for mut listener in listeners {
            listener.router = service::front(&state);
            let (gate, gated) = watch::channel(state.faults.gate(listener.endpoint));
            gates.push((listener.endpoint, gate));
            tasks.spawn(listener.serve(gated));
        }
        back.router = service::back(&state);
        let (open, opened) = watch::channel(Gate::Open);
        gates.push((Endpoint::Other, open));
        tasks.spawn(back.serve(opened));
        Ok(Self { state, gates, tasks })
    }

    /// The issuer identifier, as published.
    pub fn issuer(&self) -> String {
        self.state.urls.issuer.clone()
    }

    /// Where the discovery document is.
    pub fn discovery_url(&self) -> String {
        self.state.urls.discovery.clone()
    }

    /// Where tokens are.
    pub fn token_url(&self) -> String {
        self.state.urls.token.clone()
    }

    /// Where the key set is.
    pub fn jwks_url(&self) -> String {
        self.state.urls.jwks.clone()
    }

    /// Base URL of an always healthy listener on loopback for resource servers: discovery, key set, introspection.
    /// What comes there is not recorded.
    pub fn back_channel(&self) -> String {
        self.state.urls.back_channel.clone()
    }

    /// Replaces all faults. Requests that are stalled stay so; new ones see the new faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.state.faults.replace(faults);
        for (endpoint, gate) in self.gates.iter().filter(|(e, _)| *e != Endpoint::Other) {
            let wanted = self.state.faults.gate(*endpoint);
            gate.send_if_modified(|now| std::mem::replace(now, wanted) != wanted);
        }
    }

    /// Signs with a new key from now on; the old one stays published.
    pub fn rotate_keys(&self) {
        self.state.newest_key.fetch_add(1, Ordering::SeqCst);
    }

    /// Publishes only the newest key.
    pub fn withdraw_old_keys(&self) {
        self.state.oldest_key.store(self.state.newest_key.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Revokes every token: introspection calls it inactive.
    pub fn revoke_tokens(&self) {
        let mut tokens = self.state.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.values_mut().for_each(|token| token.revoked = true);
    }

    /// What is known about a token.
    pub fn known_token(&self, token: &str) -> Option<IssuedToken> {
        self.state.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Stops and waits until every port is closed.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

fn urls(config: &Config, listeners: &[Listener], back_port: u16) -> Urls {
    let base = |endpoint: Endpoint| {
        let listener = listeners.iter().find(|l| l.endpoint == endpoint).unwrap_or(&listeners[0]);
        format!("{}://{}:{}", config.scheme.as_str(), config.host, listener.port())
    };
    let bare = format!("{}{}", base(Endpoint::Discovery), config.path);
    let slash = if config.trailing_slash { "/" } else { "" };
    Urls {
        issuer: format!("{bare}{slash}"),
        discovery: format!("{bare}{}", service::OPENID_CONFIGURATION),
        token: format!("{}{}{}", base(Endpoint::Token), config.path, service::TOKEN),
        jwks: format!("{}{}{}", base(Endpoint::Jwks), config.path, service::JWKS),
        introspection: format!("{bare}{}", service::INTROSPECT),
        back_channel: format!("http://127.0.0.1:{back_port}"),
    }
}
