//! Tokens that were found good: what time cannot change is not worked out again.
//!
//! A signature holds for ever; an expiry, a key set and an outage do not. So a token that comes again is taken only if its
//! lifetime and the very key that it was verified with say so now. Everything else goes the long way, which names the reason.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use jsonwebtoken::{Algorithm, DecodingKey};
use lru::LruCache;

use crate::jwks::KeySet;
use crate::validate::{Identity, now};

/// So many tokens are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Keeps so many, those that are unused for longest forgotten first. Without room in advance: most servers see a handful.
pub(crate) fn at_most<K: Hash + Eq, V>(number: NonZeroUsize) -> LruCache<K, V> {
    let mut kept = LruCache::unbounded();
    kept.resize(number);
    kept
}

/// Stands for a token: what is remembered of tokens holds none, and is short however long they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; SHA256_OUTPUT_LEN]);

impl Digest {
    pub(crate) fn of(token: &str) -> Self {
        let digest = digest(&SHA256, token.as_bytes());
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// Within its life beyond doubt: neither rounding nor leeway is needed to say so. Seconds since 1970: `nbf`, `exp`, now.
fn is_alive(begins: Option<f64>, ends: f64, now: f64) -> bool {
    now < ends && begins.is_none_or(|begins| begins.ceil() <= now.floor())
}

/// A token that was found good.
pub(crate) struct Good {
    /// Which of the trusted issuers issued it.
    pub(crate) issuer: usize,
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Algorithm,
    /// The key that its signature was verified with.
    pub(crate) key: Arc<DecodingKey>,
    /// Its `nbf`.
    pub(crate) begins: Option<f64>,
    pub(crate) identity: Identity,
}

/// The tokens that were found good, those that are unused for longest forgotten first.
pub(crate) struct Remembered(Mutex<LruCache<Digest, Arc<Good>>>);

impl Default for Remembered {
    fn default() -> Self {
        Self(Mutex::new(at_most(REMEMBERED)))
    }
}

impl Remembered {
    pub(crate) fn put(&self, token: Digest, good: Good) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(token, Arc::new(good));
    }

    /// Whom the token is about, if it is as good now as it was.
    pub(crate) async fn identity(&self, token: &Digest, issuers: &[KeySet]) -> Option<Identity> {
        let good = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()?;
        if !is_alive(good.begins, good.identity.expires?, now()?) {
            return None;
        }
        // Asked as for a new token: a set that is too old is fetched again, an outage is an outage.
        let key = issuers.get(good.issuer)?.key(good.kid.as_deref(), good.algorithm).await.ok()?;
        Arc::ptr_eq(&key.decoding, &good.key).then(|| good.identity.clone())
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, Validation, decode, encode};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        /// Whatever is taken the short way is taken the long way, too.
        #[test]
        fn nothing_is_taken_that_the_library_refuses(
            begins in prop::option::of(-3.0..3.0), ends in -3.0..3.0, leeway in 0..3u64,
        ) {
            let at = now().unwrap();
            let (begins, ends) = (begins.map(|after: f64| at + after), at + ends);
            if is_alive(begins, ends, at) {
                let mut claims = json!({ "exp": ends });
                if let Some(begins) = begins {
                    claims["nbf"] = begins.into();
                }
                let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"k")).unwrap();
                let mut rules = Validation::new(Algorithm::HS256);
                (rules.leeway, rules.validate_nbf) = (leeway, true);
                let long = decode::<Value>(token, &DecodingKey::from_secret(b"k"), &rules);
                // A token that ended in between is no example.
                prop_assume!(now().unwrap() < ends);
                prop_assert!(long.is_ok(), "{begins:?} to {ends} at {at}: {long:?}");
            }
        }
    }

    #[test]
    fn a_life_ends_at_its_end_and_begins_with_its_second() {
        let alive = [100.9, 101.0, 200.4, 200.5, 201.0].map(|at| is_alive(Some(100.2), 200.5, at));
        assert_eq!(alive, [false, true, true, false, false]);
    }
}
