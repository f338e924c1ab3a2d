//! Signing keys: made once for a process, on first use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RsaKeyPair, RsaSignatureEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::config::Alg;
use crate::key_import::{self, Imported};

/// Key pairs, shared by the issuers of a process. Making an RSA key costs tenths of a second.
#[derive(Default)]
pub struct KeyPool(Mutex<HashMap<(Alg, usize), Arc<Place>>>);

/// Where a key is once somebody has asked for it.
type Place = OnceLock<Arc<Key>>;

/// Numbers of keys that no key set has: another's, and one that was withdrawn.
pub(crate) const STRANGER: usize = usize::MAX;
pub(crate) const WITHDRAWN: usize = usize::MAX - 1;

impl KeyPool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a private JWK in the first place of its algorithm, unless a key is there already.
    ///
    /// # Errors
    /// What is wrong with the key; no part of it is in the text.
    pub fn import(&self, jwk: &Value) -> Result<Alg, String> {
        let (alg, imported) = key_import::imported(jwk)?;
        let place =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((alg, 0)).or_default().clone();
        let key = Key { alg, pair: Pair::of(alg, imported) };
        // A configuration that is read again brings the same key.
        let _ = place.set(Arc::new(key));
        Ok(alg)
    }

    /// The n-th key of an algorithm; made now if nobody asked for it before.
    pub(crate) fn key(&self, alg: Alg, nth: usize) -> Arc<Key> {
        let place =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((alg, nth)).or_default().clone();
        place.get_or_init(|| Arc::new(Key::generate(alg))).clone()
    }
}

enum Pair {
    Rsa(Box<RsaKeyPair>, &'static RsaSignatureEncoding),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

impl Pair {
    fn of(alg: Alg, imported: Imported) -> Self {
        match imported {
            Imported::Rsa(pair) => Self::Rsa(Box::new(pair), encoding(alg)),
            Imported::Ec(pair) => Self::Ec(pair, if alg == Alg::Es384 { "P-384" } else { "P-256" }),
            Imported::Ed(pair) => Self::Ed(pair),
        }
    }
}

/// How RSA signs for an algorithm.
fn encoding(alg: Alg) -> &'static RsaSignatureEncoding {
    match alg {
        Alg::Rs384 => &signature::RSA_PKCS1_SHA384,
        Alg::Rs512 => &signature::RSA_PKCS1_SHA512,
        Alg::Ps256 => &signature::RSA_PSS_SHA256,
        Alg::Ps384 => &signature::RSA_PSS_SHA384,
        Alg::Ps512 => &signature::RSA_PSS_SHA512,
        Alg::Rs256 | Alg::Es256 | Alg::Es384 | Alg::EdDsa => &signature::RSA_PKCS1_SHA256,
    }
}

/// A parsed key pair: parsing costs half as much as signing, so it is done once.
pub(crate) struct Key {
    alg: Alg,
    pair: Pair,
}

impl Key {
    fn generate(alg: Alg) -> Self {
        let random = "the system has randomness";
        let imported = match alg {
            Alg::Es256 => {
                Imported::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect(random))
            }
            Alg::Es384 => {
                Imported::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect(random))
            }
            Alg::EdDsa => Imported::Ed(Ed25519KeyPair::generate().expect(random)),
            Alg::Rs256 | Alg::Rs384 | Alg::Rs512 | Alg::Ps256 | Alg::Ps384 | Alg::Ps512 => {
                Imported::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect(random))
            }
        };
        let pair = Pair::of(alg, imported);
        Self { alg, pair }
    }

    /// The signature of a text.
    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, text, &mut signature).expect("a whole key signs");
                signature
            }
            Pair::Ec(pair, _) => pair.sign(&random, text).expect("a whole key signs").as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(text).as_ref().to_vec(),
        }
    }

    /// Its public part (RFC 7517) under an id.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let alg = self.alg.as_str();
        match &self.pair {
            Pair::Rsa(pair, _) => {
                let public = pair.public_key();
                json!({ "kty": "RSA", "use": "sig", "alg": alg, "kid": kid,
                    "n": encode(public.modulus().big_endian_without_leading_zero()),
                    "e": encode(public.exponent().big_endian_without_leading_zero()) })
            }
            Pair::Ec(pair, curve) => {
                // Uncompressed point: 04, then x and y of the same length.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "use": "sig", "alg": alg, "crv": curve, "kid": kid,
                    "x": encode(x), "y": encode(y) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "use": "sig", "alg": alg, "crv": "Ed25519", "kid": kid,
                    "x": encode(pair.public_key().as_ref()) })
            }
        }
    }

    /// Its public part as PEM: what a client confuses with an HMAC secret.
    pub(crate) fn public_pem(&self) -> Vec<u8> {
        use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
        let der: Vec<u8> = match &self.pair {
            Pair::Rsa(pair, _) => {
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a whole key has a form");
                der.as_ref().to_vec()
            }
            Pair::Ec(pair, _) => {
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a whole key has a form");
                der.as_ref().to_vec()
            }
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
        };
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).filter_map(|l| std::str::from_utf8(l).ok()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_signs_what_its_public_key_verifies() {
        let pool = KeyPool::new();
        for alg in Alg::ALL {
            let key = pool.key(alg, 0);
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.jwk("k")).expect("a JWK");
            let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).expect("a usable key");
            let name: jsonwebtoken::Algorithm = alg.as_str().parse().expect("a known algorithm");
            let signature = URL_SAFE_NO_PAD.encode(key.sign(b"text"));
            assert!(
                jsonwebtoken::crypto::verify(&signature, b"text", &decoding, name).expect("a signature"),
                "{}",
                alg.as_str()
            );
        }
    }
}
