//! Project Wycheproof's vectors for the signatures of JWS (RFC 7518 §3.3 and §3.4), verified as the server verifies tokens:
//! with keys that it read from a key set.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, crypto};
use serde_json::{Value, json};
use wycheproof::TestResult;

use super::{Key, usable};

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// As an issuer publishes it.
fn published(jwk: Value) -> Option<Key> {
    serde_json::from_value(jwk).ok().and_then(usable)
}

/// Counts vectors that are taken and refused as they must be.
#[derive(Default)]
struct Seen {
    taken: usize,
    refused: usize,
}

impl Seen {
    /// A vector: without a key its signature is worth nothing.
    fn check(
        &mut self,
        key: Option<&Key>,
        algorithm: Algorithm,
        msg: &[u8],
        sig: &[u8],
        result: TestResult,
    ) -> bool {
        let taken = key
            .is_some_and(|key| crypto::verify(&base64(sig), msg, &key.decoding, algorithm).unwrap_or(false));
        self.taken += usize::from(taken);
        self.refused += usize::from(!taken);
        match result {
            TestResult::Valid => taken,
            TestResult::Invalid => !taken,
            TestResult::Acceptable => true,
        }
    }
}

#[test]
fn signatures_on_curves_are_taken_and_refused_as_wycheproof_says() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let sets = [
        (TestName::EcdsaSecp256r1Sha256P1363, "P-256", Algorithm::ES256),
        (TestName::EcdsaSecp384r1Sha384P1363, "P-384", Algorithm::ES384),
    ];
    let mut seen = Seen::default();
    for (name, curve, algorithm) in sets {
        for group in TestSet::load(name).expect("vectors").test_groups {
            // 04, x, y.
            let (x, y) = group.key.key[1..].split_at(group.key.key.len() / 2);
            let key = published(json!({ "kty": "EC", "crv": curve, "x": base64(x), "y": base64(y) }));
            for test in group.tests {
                let good = seen.check(key.as_ref(), algorithm, &test.msg, &test.sig, test.result);
                assert!(good, "{curve} {}: {} {:?}", test.tc_id, test.comment, test.result);
            }
        }
    }
    assert!(seen.taken > 100 && seen.refused > 100, "{} taken, {} refused", seen.taken, seen.refused);
}

#[test]
fn rsa_signatures_are_taken_and_refused_as_wycheproof_says() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let sets = [
        (TestName::Rsa2048Sha256, Algorithm::RS256),
        (TestName::Rsa3072Sha384, Algorithm::RS384),
        (TestName::Rsa4096Sha512, Algorithm::RS512),
    ];
    let mut seen = Seen::default();
    for (name, algorithm) in sets {
        for group in TestSet::load(name).expect("vectors").test_groups {
            let unsigned = |number: &[u8]| {
                let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
                base64(&number[start..])
            };
            let key =
                published(json!({ "kty": "RSA", "n": unsigned(&group.key.n), "e": unsigned(&group.key.e) }));
            for test in group.tests {
                let good = seen.check(key.as_ref(), algorithm, &test.msg, &test.sig, test.result);
                assert!(good, "{algorithm:?} {}: {} {:?}", test.tc_id, test.comment, test.result);
            }
        }
    }
    assert!(seen.taken > 10 && seen.refused > 100, "{} taken, {} refused", seen.taken, seen.refused);
}
