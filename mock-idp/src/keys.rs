//! Signing keys: made once for a process, on first use.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::config::Alg;

/// Key pairs, shared by the issuers of a process. Making an RSA key costs tenths of a second.
#[derive(Default)]
pub struct KeyPool {
    rsa: Mutex<Vec<Arc<OnceLock<Arc<Key>>>>>,
    ec: Mutex<Vec<Arc<OnceLock<Arc<Key>>>>>,
}

impl KeyPool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// The n-th key of an algorithm.
    pub(crate) fn key(&self, alg: Alg, nth: usize) -> Arc<Key> {
        let list = match alg {
            Alg::Rs256 => &self.rsa,
            Alg::Es256 => &self.ec,
        };
        let place = {
            let mut keys = list.lock().unwrap_or_else(PoisonError::into_inner);
            while keys.len() <= nth {
                keys.push(Arc::default());
            }
            keys[nth].clone()
        };
        place.get_or_init(|| Arc::new(Key::generate(alg, nth))).clone()
    }
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

/// A parsed key pair with its id.
pub(crate) struct Key {
    pub(crate) kid: String,
    alg: Alg,
    pair: Pair,
}

impl Key {
    fn generate(alg: Alg, nth: usize) -> Self {
        let pair = match alg {
            Alg::Rs256 => {
                Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("the system has randomness"))
            }
            Alg::Es256 => Pair::Ec(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("the system has randomness"),
            ),
        };
        let kind = match alg {
            Alg::Rs256 => "rsa",
            Alg::Es256 => "ec",
        };
        Self { kid: format!("{kind}-{}", nth + 1), alg, pair }
    }

    /// The name of its algorithm (RFC 7518 §3.1).
    pub(crate) fn alg_name(&self) -> &'static str {
        match self.alg {
            Alg::Rs256 => "RS256",
            Alg::Es256 => "ES256",
        }
    }

    /// The signature of a text.
    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).expect("a whole key signs");
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, text).expect("a whole key signs").as_ref().to_vec(),
        }
    }

    /// Its public part (RFC 7517).
    pub(crate) fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
                    "n": encode(public.modulus().big_endian_without_leading_zero()),
                    "e": encode(public.exponent().big_endian_without_leading_zero()) })
            }
            Pair::Ec(pair) => {
                // Uncompressed point: 04, then x and y of 32 bytes each.
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": self.kid,
                    "x": encode(&point[1..33]), "y": encode(&point[33..65]) })
            }
        }
    }
}
