//! A mock as a value: started on free ports, changed while it runs, stopped when dropped.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{ClockChange, ClockReading};
use crate::config::{Config, Listeners, Scheme, StartError};
use crate::endpoint::Endpoint;
use crate::fault::{Fault, Gate, StandingFault};
use crate::host::{Host, Settings};
use crate::issuer::Issuer;
use crate::listener::{Listener, Served};
use crate::log::{Exchange, Filter};
use crate::place::{Origins, Place};
use crate::record::IssuedToken;
use crate::service::Role;
use crate::tls::{Mishaps, ThrowAwayCa};

/// What a mock has besides its issuers.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// Issuers with settings of their own, by path.
    pub issuers: HashMap<String, Config>,
    /// Another port for `/_mock`, on loopback: 0 lets the system choose.
    pub admin_port: Option<u16>,
    /// The CA of the listener's certificate, for faults of TLS.
    pub ca: Option<Arc<ThrowAwayCa>>,
}

/// A running mock. Dropping it closes its ports and ends its connections.
pub struct MockIdp {
    host: Arc<Host>,
    gates: Arc<Vec<(Endpoint, watch::Sender<Gate>)>>,
    admin_port: Option<u16>,
    stopping: CancellationToken,
    /// Ends the connections that are open now.
    ending: Arc<Mutex<CancellationToken>>,
    tasks: JoinSet<()>,
}

impl MockIdp {
    /// Starts a mock.
    ///
    /// # Errors
    /// A port that cannot be listened on, or a path that is none.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, Surroundings::default()).await
    }

    /// Says whether a mock could be started, but for ports that are taken.
    ///
    /// # Errors
    /// A path that is none, or control that is open to others.
    pub fn check(config: &Config, surroundings: &Surroundings) -> Result<(), StartError> {
        for path in surroundings.issuers.keys().chain([&config.path]) {
            let fine = path.is_empty() || (path.starts_with('/') && !path.ends_with('/'));
            if !fine {
                return Err(StartError::Path { path: path.clone() });
            }
        }
        let ip = address_of(&config.host);
        if !ip.is_loopback() && config.admin.is_unguarded() {
            return Err(StartError::Unguarded { address: SocketAddr::new(ip, config.port).to_string() });
        }
        Ok(())
    }

    /// Starts a mock with more than one kind of issuer.
    ///
    /// # Errors
    /// A port that cannot be listened on, a path that is none, or control that is open to others.
    pub async fn start_with(config: Config, surroundings: Surroundings) -> Result<Self, StartError> {
        Self::check(&config, &surroundings)?;
        let ip = address_of(&config.host);
        let mut listeners = listeners(&config, ip)?;
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let back = Listener::bind(loopback, &config.name, Endpoint::Any, Scheme::Http, None)?;
        let admin = match surroundings.admin_port {
            Some(port) => {
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                Some(Listener::bind(address, &config.name, Endpoint::Any, Scheme::Http, None)?)
            }
            None => None,
        };
        let ports = listeners.iter().map(|l| (l.endpoint, l.port())).collect();
        let origins = Origins::new(&config, ports);
        let back_url = format!("http://127.0.0.1:{}", back.port());
        let ca_pem = surroundings.ca.as_ref().map(|ca| ca.ca_pem().to_owned());
        let special = surroundings.issuers.into_iter().map(|(path, c)| (path, Arc::new(c))).collect();
        let faults = config.faults.clone();
        let settings = Settings { template: Arc::new(config), special };
        let host = Arc::new(Host::new(settings, origins, back_url, ca_pem));
        let now = host.home().clock.now();
        host.faults.replace(faults, now);
        for listener in &mut listeners {
            if host.faults.gate(listener.endpoint) == Gate::Blackhole {
                listener.dig().await;
            }
        }
        let mishaps = surroundings.ca.map(|ca| Arc::new(Mishaps::new(ca)));
        let admin_port = admin.as_ref().map(Listener::port);
        Ok(Self::run(host, listeners, back, admin, mishaps, admin_port))
    }

    fn run(
        host: Arc<Host>,
        listeners: Vec<Listener>,
        mut back: Listener,
        admin: Option<Listener>,
        mishaps: Option<Arc<Mishaps>>,
        admin_port: Option<u16>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let mut gates = Vec::new();
        let stopping = CancellationToken::new();
        let ending = Arc::new(Mutex::new(stopping.child_token()));
        let mut open = |mut listener: Listener, role, tasks: &mut JoinSet<()>| {
            listener.served = Served::Host(Arc::downgrade(&host), role);
            listener.stopping = stopping.clone();
            listener.ending = ending.clone();
            let at = listener.endpoint;
            let (gate, gated) = watch::channel(host.faults.gate(at));
            let about = if role == Role::Front { at } else { Endpoint::Other };
            if about == Endpoint::Other {
                gate.send_replace(Gate::Open);
            }
            gates.push((about, gate));
            tasks.spawn(listener.serve(gated));
        };
        for mut listener in listeners {
            listener.mishaps.clone_from(&mishaps);
            open(listener, Role::Front, &mut tasks);
        }
        back.recorder = None;
        open(back, Role::Back, &mut tasks);
        if let Some(admin) = admin {
            open(admin, Role::Admin, &mut tasks);
        }
        let gates = Arc::new(gates);
        tasks.spawn(keep_gates(host.clone(), gates.clone()));
        Self { host, gates, admin_port, stopping, ending, tasks }
    }

    fn place(&self) -> (Arc<Config>, Place) {
        let home = self.host.home();
        let config = home.config();
        let place = self.host.place(&home, &config, None);
        (config, place)
    }

    fn url_of(&self, endpoint: Endpoint) -> String {
        let (config, place) = self.place();
        place.url(endpoint, &config)
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        self.host.origin()
    }

    /// Where discovery of an issuer is that a newcomer can try: below `/demo` if any path is one.
    pub fn example_discovery_url(&self) -> String {
        let config = self.host.template();
        let root = if config.any_path { "/demo" } else { config.path.as_str() };
        let below = config.paths.of(Endpoint::Discovery).expect("every issuer has a discovery document");
        format!("{}{root}{below}", self.host.origin())
    }

    /// The issuer identifier, as published.
    pub fn issuer(&self) -> String {
        let (_, place) = self.place();
        place.published
    }

    /// The issuer identifier of another path; the issuer is made on first use.
    pub fn issuer_at(&self, path: &str) -> Option<String> {
        let issuer = self.host.issuer_or_made(path)?;
        Some(self.host.place(&issuer, &issuer.config(), None).published)
    }

    /// Where the discovery document is.
    pub fn discovery_url(&self) -> String {
        self.url_of(Endpoint::Discovery)
    }

    /// Where tokens are.
    pub fn token_url(&self) -> String {
        self.url_of(Endpoint::Token)
    }

    /// Where the key set is.
    pub fn jwks_url(&self) -> String {
        self.url_of(Endpoint::Jwks)
    }

    /// Base URL of an always healthy listener on loopback for resource servers: discovery, key set, introspection.
    /// What comes there is not recorded.
    pub fn back_channel(&self) -> String {
        format!("{}{}", self.host.back_channel, self.host.home().root)
    }

    /// Base URL of `/_mock`.
    pub fn admin_url(&self) -> String {
        match self.admin_port {
            Some(port) => format!("http://127.0.0.1:{port}/_mock"),
            None => format!("{}/_mock", self.host.origin()),
        }
    }

    /// Replaces all faults. Requests that are stalled stay so; new ones see the new faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.host.faults.replace(faults, self.host.home().clock.now());
        set_gates(&self.host, &self.gates);
    }

    /// Adds a fault and tells its id.
    pub fn add_fault(&self, fault: Fault) -> String {
        let id = self.host.faults.add(fault, self.host.home().clock.now());
        set_gates(&self.host, &self.gates);
        id
    }

    /// Removes a fault; who waits at it goes on.
    pub fn remove_fault(&self, id: &str) -> bool {
        let removed = self.host.faults.remove(id);
        set_gates(&self.host, &self.gates);
        removed
    }

    /// Lets all go that wait at a barrier, and tells how many they were.
    pub fn release_barrier(&self, id: &str) -> Option<u32> {
        self.host.faults.release(id)
    }

    /// The faults that stand.
    pub fn faults(&self) -> Vec<StandingFault> {
        self.host.faults.list()
    }

    /// The record, secrets and all.
    pub fn exchanges(&self, filter: &Filter) -> Vec<Exchange> {
        self.host.log.list(filter).iter().map(|k| k.whole()).collect()
    }

    /// Takes the oldest exchange that fits out of the record; waits for it, at most so long.
    pub async fn take_exchange(&self, filter: &Filter, at_most: Duration) -> Option<Exchange> {
        self.host.log.take(filter, at_most).await.map(|k| k.whole())
    }

    /// Moves the clock of the issuer.
    pub fn change_clock(&self, change: ClockChange) -> ClockReading {
        self.host.home().clock.change(change)
    }

    /// Stops the clocks of all issuers that there are, and of the configured ones, at this time (seconds since 1970).
    pub fn freeze_all_at(&self, at: f64) {
        let change = ClockChange { freeze_at: Some(at), ..ClockChange::default() };
        self.host.all().iter().for_each(|i| {
            i.clock.change(change);
        });
    }

    /// Signs with a new key from now on; the old one stays published.
    pub fn rotate_keys(&self) {
        let home = self.host.home();
        Issuer::algs(&home.config()).into_iter().for_each(|alg| home.keys.rotate(alg));
    }

    /// Publishes only the newest key.
    pub fn withdraw_old_keys(&self) {
        let home = self.host.home();
        Issuer::algs(&home.config()).into_iter().for_each(|alg| home.keys.withdraw_old(alg));
    }

    /// Revokes every token: introspection calls it inactive.
    pub fn revoke_tokens(&self) {
        let home = self.host.home();
        let mut store = home.store();
        store.tokens.values_mut().for_each(|token| token.issued.revoked = true);
        store.refresh.values_mut().for_each(|token| token.revoked = true);
    }

    /// What is known about a token.
    pub fn known_token(&self, token: &str) -> Option<IssuedToken> {
        self.host.home().store().tokens.get(token).map(|t| t.issued.clone())
    }

    /// Forgets faults, record, sessions, tokens, and issuers that were made on first use.
    pub fn reset(&self) {
        self.host.reset();
        set_gates(&self.host, &self.gates);
    }

    /// Other settings from now on; sessions and tokens stay, and so do ports and certificates.
    pub fn reconfigure(&self, config: Config, issuers: HashMap<String, Config>) {
        let special = issuers.into_iter().map(|(path, c)| (path, Arc::new(c))).collect();
        self.host.reconfigure(Settings { template: Arc::new(config), special });
    }

    /// Closes the connections that are open now, each after the answer that is under way; new ones are taken.
    pub fn hang_up(&self) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *ending, self.stopping.child_token()).cancel();
    }

    /// Takes no more connections, lets answers that are under way go out, at most so long, and stops.
    pub async fn stop(mut self, at_most: Duration) {
        self.stopping.cancel();
        // The task that keeps the gates ends only with us.
        let under_way = async { while self.tasks.len() > 1 && self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(at_most, under_way).await;
        self.tasks.shutdown().await;
    }

    /// Stops and waits until every port is closed.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

/// The address to listen on: the host if it is one, loopback otherwise.
fn address_of(host: &str) -> IpAddr {
    host.trim_matches(['[', ']']).parse().unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

fn listeners(config: &Config, ip: IpAddr) -> Result<Vec<Listener>, StartError> {
    let endpoints: &[Endpoint] = match config.listeners {
        Listeners::Shared => &[Endpoint::Any],
        Listeners::PerEndpoint => &[Endpoint::Discovery, Endpoint::Token, Endpoint::Jwks],
    };
    let bind = |(nth, endpoint): (usize, &Endpoint)| {
        let address = SocketAddr::new(ip, if nth == 0 { config.port } else { 0 });
        let recorder = Some(config.recorder.clone());
        Listener::bind(address, &config.name, *endpoint, config.scheme.clone(), recorder)
    };
    endpoints.iter().enumerate().map(bind).collect()
}

fn set_gates(host: &Host, gates: &[(Endpoint, watch::Sender<Gate>)]) {
    for (endpoint, gate) in gates.iter().filter(|(e, _)| *e != Endpoint::Other) {
        let wanted = host.faults.gate(*endpoint);
        gate.send_if_modified(|now| std::mem::replace(now, wanted) != wanted);
    }
}

/// Opens and closes ports as faults of connections come and go.
async fn keep_gates(host: Arc<Host>, gates: Arc<Vec<(Endpoint, watch::Sender<Gate>)>>) {
    loop {
        set_gates(&host, &gates);
        match host.faults.next_end() {
            Some(end) => {
                let _ = tokio::time::timeout_at(end.into(), host.faults.changed.notified()).await;
            }
            None => host.faults.changed.notified().await,
        }
    }
}
