//! A process with its issuers: which path is whose, what is recorded, what is broken.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use crate::config::Config;
use crate::endpoint::{Endpoint, metadata_of};
use crate::fault::Faults;
use crate::issuer::{Issuer, random};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::place::{Origins, Place};
use crate::signer::Signer;

/// So many issuers are made on first use; then the oldest go.
const MOST: usize = 10_000;
/// A longer path is no issuer's.
const LONGEST: usize = 256;

pub(crate) struct Host {
    pub(crate) origins: Origins,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) metrics: Metrics,
    pub(crate) signer: Signer,
    /// What a DPoP proof has to repeat (RFC 9449 §8); made when first asked for, because the library takes 20 ms for its
    /// first random bytes and most mocks want none before they are found.
    dpop_nonce: OnceLock<String>,
    /// Base URL of the listener for resource servers.
    pub(crate) back_channel: String,
    /// The throw-away CA of our listeners, for whoever has to trust it.
    pub(crate) ca_pem: Option<String>,
    settings: RwLock<Settings>,
    issuers: RwLock<HashMap<String, Arc<Issuer>>>,
    /// Roots of issuers made on first use, the oldest first.
    made: Mutex<VecDeque<String>>,
}

/// What issuers are like.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The one at home, and the pattern for those that are made on first use.
    pub(crate) template: Arc<Config>,
    /// Others, by root.
    pub(crate) special: HashMap<String, Arc<Config>>,
}

impl Host {
    pub(crate) fn new(
        settings: Settings,
        origins: Origins,
        back_channel: String,
        ca_pem: Option<String>,
    ) -> Self {
        let host = Self {
            origins,
            faults: Faults::default(),
            log: Log::default(),
            metrics: Metrics::default(),
            signer: Signer::default(),
            dpop_nonce: OnceLock::new(),
            back_channel,
            ca_pem,
            settings: RwLock::new(settings),
            issuers: RwLock::default(),
            made: Mutex::default(),
        };
        host.put_configured();
        host
    }

    /// The issuers that are configured are there from the start.
    fn put_configured(&self) {
        let settings = self.settings();
        let mut issuers = self.issuers_mut();
        let home = (settings.template.path.clone(), settings.template.clone());
        for (root, config) in settings.special.clone().into_iter().chain([home]) {
            match issuers.get(&root) {
                Some(issuer) => issuer.reconfigure(config),
                None => {
                    issuers.insert(root.clone(), Arc::new(Issuer::new(&root, config, None)));
                }
            }
        }
    }

    /// New settings for all issuers; sessions and tokens stay.
    pub(crate) fn reconfigure(&self, settings: Settings) {
        for issuer in self.issuers().values() {
            let config = settings.special.get(&issuer.root).unwrap_or(&settings.template);
            issuer.reconfigure(config.clone());
        }
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        self.put_configured();
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What issuers are like that are made on first use, and the one at home.
    pub(crate) fn template(&self) -> Arc<Config> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).template.clone()
    }

    fn issuers(&self) -> RwLockReadGuard<'_, HashMap<String, Arc<Issuer>>> {
        self.issuers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn issuers_mut(&self) -> RwLockWriteGuard<'_, HashMap<String, Arc<Issuer>>> {
        self.issuers.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a DPoP proof has to repeat.
    pub(crate) fn dpop_nonce(&self) -> &str {
        self.dpop_nonce.get_or_init(random)
    }

    /// The issuer at home.
    pub(crate) fn home(&self) -> Arc<Issuer> {
        self.issuer(&self.template().path).expect("the issuer at home is there from the start")
    }

    /// An issuer that is there.
    pub(crate) fn issuer(&self, root: &str) -> Option<Arc<Issuer>> {
        self.issuers().get(root).filter(|i| !i.is_over()).cloned()
    }

    /// All that are there, by root.
    pub(crate) fn all(&self) -> Vec<Arc<Issuer>> {
        let mut all: Vec<_> = self.issuers().values().filter(|i| !i.is_over()).cloned().collect();
        all.sort_by(|a, b| a.root.cmp(&b.root));
        all
    }

    /// The issuer of a path, made now if any path is one.
    pub(crate) fn issuer_or_made(&self, root: &str) -> Option<Arc<Issuer>> {
        if let Some(issuer) = self.issuer(root) {
            return Some(issuer);
        }
        let template = self.template();
        if !template.any_path || !is_root(root) {
            return None;
        }
        let issuer = Arc::new(Issuer::new(root, template, None));
        self.put(issuer.clone());
        Some(issuer)
    }

    /// Puts an issuer in its place; the oldest that was made on first use may have to go.
    pub(crate) fn put(&self, issuer: Arc<Issuer>) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let mut issuers = self.issuers_mut();
        issuers.retain(|_, i| !i.is_over());
        made.push_back(issuer.root.clone());
        issuers.insert(issuer.root.clone(), issuer);
        while made.len() > MOST {
            if let Some(oldest) = made.pop_front() {
                issuers.remove(&oldest);
            }
        }
    }

    /// Removes an issuer that is not configured.
    pub(crate) fn remove(&self, root: &str) -> bool {
        let settings = self.settings();
        if root == settings.template.path || settings.special.contains_key(root) {
            return false;
        }
        self.made.lock().unwrap_or_else(PoisonError::into_inner).retain(|r| r != root);
        self.issuers_mut().remove(root).is_some()
    }

    /// Whose endpoint a path is.
    pub(crate) fn route(&self, path: &str) -> Option<(Arc<Issuer>, Endpoint)> {
        if let Some(issuer_path) = metadata_of(path) {
            return self.by_issuer_path(issuer_path.trim_end_matches('/')).map(|i| (i, Endpoint::Discovery));
        }
        if let Some(found) = self.known(path) {
            return Some(found);
        }
        let template = self.template();
        let (root, endpoint) = template.paths.split(path)?;
        self.issuer_or_made(root).map(|issuer| (issuer, endpoint))
    }

    fn known(&self, path: &str) -> Option<(Arc<Issuer>, Endpoint)> {
        let issuers = self.issuers();
        // From the longest root to the empty one.
        let cuts = path.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| at).collect::<Vec<_>>();
        cuts.into_iter().rev().find_map(|at| {
            let issuer = issuers.get(&path[..at]).filter(|i| !i.is_over())?;
            let endpoint = issuer.config().paths.endpoint(&path[at..])?;
            Some((issuer.clone(), endpoint))
        })
    }

    /// The issuer whose identifier has this path.
    fn by_issuer_path(&self, path: &str) -> Option<Arc<Issuer>> {
        let fits =
            |i: &&Arc<Issuer>| !i.is_over() && format!("{}{}", i.root, i.config().paths.issuer) == path;
        let known = self.issuers().values().find(fits).cloned();
        known.or_else(|| {
            let suffix = self.template().paths.issuer.clone();
            self.issuer_or_made(path.strip_suffix(suffix.as_str())?)
        })
    }

    /// The addresses of an issuer, for who named this host.
    pub(crate) fn place(&self, issuer: &Issuer, config: &Config, named: Option<&str>) -> Place {
        Place::new(&self.origins, config, &issuer.root, named)
    }

    /// Scheme, host and port of the first listener.
    pub(crate) fn origin(&self) -> String {
        let port = self.origins.ports.first().map_or(0, |(_, p)| *p);
        format!("{}://{}:{port}", self.origins.scheme, self.origins.host)
    }

    /// The label of an issuer in records.
    pub(crate) fn label(&self, issuer: &Issuer) -> String {
        let config = issuer.config();
        if issuer.root == config.path { config.name.clone() } else { issuer.root.clone() }
    }

    /// Forgets everything that tests left: faults, records, memory, made issuers.
    pub(crate) fn reset(&self) {
        self.faults.clear();
        self.log.clear();
        let made: Vec<String> = self.made.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        let mut issuers = self.issuers_mut();
        made.iter().for_each(|root| {
            issuers.remove(root);
        });
        issuers.values().for_each(|i| i.reset());
        drop(issuers);
        self.put_configured();
    }

    /// Puts a throw-away issuer in its place.
    pub(crate) fn put_throw_away(&self, config: Config, ends: Option<Instant>) -> Arc<Issuer> {
        let issuer = Arc::new(Issuer::new(&config.path.clone(), Arc::new(config), ends));
        self.put(issuer.clone());
        issuer
    }
}

/// A path that may be an issuer's.
pub(crate) fn is_root(root: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "/-._~%@:+!$&'()*,;=".contains(c);
    let starts = root.is_empty() || root.starts_with('/');
    let ours = root == "/_mock" || root.starts_with("/_mock/") || root.starts_with("/_elsewhere");
    starts
        && !root.ends_with('/')
        && root.len() <= LONGEST
        && root.chars().all(fine)
        && !root.contains("//")
        && !ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        let template = Arc::new(Config::default());
        let origins = Origins::new(&template, vec![(Endpoint::Any, 1)]);
        Host::new(Settings { template, special: HashMap::new() }, origins, String::new(), None)
    }

    #[test]
    fn issuers_made_on_first_use_do_not_grow_without_bound() {
        let host = host();
        for n in 0..MOST + 5 {
            assert!(host.issuer_or_made(&format!("/{n}")).is_some());
        }
        // The one at home does not count, and never goes.
        assert_eq!(host.all().len(), MOST + 1);
        assert!(host.issuer("/0").is_none() && host.issuer("").is_some());
    }

    #[test]
    fn what_is_no_plain_path_is_no_issuer() {
        for path in
            ["/_mock", "/_mock/x", "/_elsewhere", "//a", "/a/", "a", "/a b", "/a\u{e9}", &"/a".repeat(200)]
        {
            assert!(host().issuer_or_made(path).is_none(), "{path}");
        }
    }
}
