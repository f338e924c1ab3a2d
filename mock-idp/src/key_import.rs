//! Signing keys of the operator's own, as private JWKs (RFC 7517 §3, RFC 7518 §6, RFC 8037 §2).

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::config::Alg;

/// A key pair that was imported.
pub(crate) enum Imported {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// Algorithm and key pair of a private JWK.
///
/// # Errors
/// What is wrong with it; no part of the key is in the text.
pub(crate) fn imported(jwk: &Value) -> Result<(Alg, Imported), String> {
    let kind = jwk["kty"].as_str().ok_or("it has no `kty`")?;
    let curve = jwk["crv"].as_str();
    let usual = match (kind, curve) {
        ("RSA", _) => Alg::Rs256,
        ("EC", Some("P-256")) => Alg::Es256,
        ("EC", Some("P-384")) => Alg::Es384,
        ("OKP", Some("Ed25519")) => Alg::EdDsa,
        _ => return Err("it is none of RSA, EC on P-256 or P-384, and OKP on Ed25519".to_owned()),
    };
    let alg = match jwk["alg"].as_str() {
        None => usual,
        Some(name) => Alg::from_name(name).ok_or_else(|| format!("its `alg` `{name}` is not supported"))?,
    };
    let is_rsa = !matches!(alg, Alg::Es256 | Alg::Es384 | Alg::EdDsa);
    if (is_rsa && kind != "RSA") || (!is_rsa && alg != usual) {
        return Err(format!("its `alg` {} does not go with its `kty`", alg.as_str()));
    }
    Ok((alg, pair(jwk, usual)?))
}

fn pair(jwk: &Value, kind: Alg) -> Result<Imported, String> {
    let part = |name: &str| {
        let text =
            jwk[name].as_str().ok_or_else(|| format!("it has no `{name}`; a private key is needed"))?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("its `{name}` is no base64url"))
    };
    let refused = |_| "its members do not make a key".to_owned();
    match kind {
        Alg::Es256 | Alg::Es384 => {
            let point = [vec![4], part("x")?, part("y")?].concat();
            let curve = match kind {
                Alg::Es384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
                _ => &ECDSA_P256_SHA256_FIXED_SIGNING,
            };
            EcdsaKeyPair::from_private_key_and_public_key(curve, &part("d")?, &point)
                .map(Imported::Ec)
                .map_err(refused)
        }
        Alg::EdDsa => Ed25519KeyPair::from_seed_and_public_key(&part("d")?, &part("x")?)
            .map(Imported::Ed)
            .map_err(refused),
        _ => {
            let public_key = PublicKeyComponents { n: part("n")?, e: part("e")? };
            let components = KeyPairComponents {
                public_key,
                d: part("d")?,
                p: part("p")?,
                q: part("q")?,
                dP: part("dp")?,
                dQ: part("dq")?,
                qInv: part("qi")?,
            };
            RsaKeyPair::from_components(&components).map(Imported::Rsa).map_err(refused)
        }
    }
}
