//! Which keys an issuer signs with and publishes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::config::Alg;

/// The keys of one issuer, by algorithm, the newest last.
#[derive(Debug, Default)]
pub(crate) struct KeyRing(Mutex<BTreeMap<Alg, Vec<Entry>>>);

#[derive(Debug, Clone)]
struct Entry {
    kid: String,
    /// Number in the pool.
    nth: usize,
    published: bool,
}

/// A key to sign with.
#[derive(Debug, Clone)]
pub(crate) struct Signing {
    pub(crate) kid: String,
    pub(crate) nth: usize,
}

fn kid(alg: Alg, nth: usize) -> String {
    format!("{}-{}", alg.as_str().to_ascii_lowercase(), nth + 1)
}

impl KeyRing {
    fn with<T>(&self, alg: Alg, act: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entries =
            rings.entry(alg).or_insert_with(|| vec![Entry { kid: kid(alg, 0), nth: 0, published: true }]);
        act(entries)
    }

    /// The newest key.
    pub(crate) fn signing(&self, alg: Alg) -> Signing {
        self.with(alg, |entries| {
            let newest = entries.last().expect("a ring is never empty");
            Signing { kid: newest.kid.clone(), nth: newest.nth }
        })
    }

    /// Signs with a new key from now on; the old one stays published.
    pub(crate) fn rotate(&self, alg: Alg) {
        self.with(alg, |entries| {
            let nth = entries.iter().map(|e| e.nth).max().map_or(0, |n| n + 1);
            entries.push(Entry { kid: kid(alg, nth), nth, published: true });
        });
    }

    /// A new key under the id of the newest, which is gone.
    pub(crate) fn replace(&self, alg: Alg) {
        self.with(alg, |entries| {
            let next = entries.iter().map(|e| e.nth).max().map_or(0, |n| n + 1);
            entries.last_mut().expect("a ring is never empty").nth = next;
        });
    }

    /// Publishes only the newest key.
    pub(crate) fn withdraw_old(&self, alg: Alg) {
        self.with(alg, |entries| {
            let newest = entries.len() - 1;
            entries.iter_mut().enumerate().for_each(|(n, e)| e.published = n == newest);
        });
    }

    /// Publishes every key but the newest, which goes on signing.
    pub(crate) fn withdraw_newest(&self, alg: Alg) {
        self.with(alg, |entries| entries.last_mut().expect("a ring is never empty").published = false);
    }

    /// Back to the first key.
    pub(crate) fn reset(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The published keys of these algorithms, the newest first: algorithm, id, and number in the pool.
    pub(crate) fn published_ids(&self, algs: &[Alg]) -> Vec<(Alg, String, usize)> {
        let of = |alg: &Alg| {
            let alg = *alg;
            self.with(alg, |entries| entries.clone()).into_iter().rev().map(move |e| (alg, e))
        };
        let published = algs.iter().flat_map(of).filter(|(_, e)| e.published);
        published.map(|(alg, e)| (alg, e.kid, e.nth)).collect()
    }

    /// Ids of the keys of an algorithm, the newest first, and whether each is published.
    pub(crate) fn listed(&self, alg: Alg) -> Vec<(String, bool)> {
        self.with(alg, |entries| entries.iter().rev().map(|e| (e.kid.clone(), e.published)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_rotated_replaced_and_withdrawn() {
        let ring = KeyRing::default();
        let ids = || ring.listed(Alg::Es256);
        ring.rotate(Alg::Es256);
        assert_eq!(ids(), [("es256-2".to_owned(), true), ("es256-1".to_owned(), true)]);
        ring.withdraw_old(Alg::Es256);
        ring.replace(Alg::Es256);
        assert_eq!(ids(), [("es256-2".to_owned(), true), ("es256-1".to_owned(), false)]);
        assert_eq!(ring.signing(Alg::Es256).nth, 2);
        ring.withdraw_newest(Alg::Es256);
        assert_eq!(ring.published_ids(&[Alg::Es256]).len(), 0);
    }
}
