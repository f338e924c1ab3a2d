//! Tokens: JWT by RFC 9068 and OpenID Connect Core §2, or opaque; and what faults make of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::answer::filled;
use crate::config::{Alg, ClaimsRule, Config, ScopeClaim, TokenFormat};
use crate::fault::{FaultKind, Hits, Which};
use crate::host::Host;
use crate::issuer::{Issuer, random};
use crate::key_pool::{STRANGER, WITHDRAWN};
use crate::mint::{TokenPart, Twice};
use crate::place::Place;
use crate::record::IssuedToken;
use crate::secret::Secret;
use crate::store::{Grantee, StoredToken};

/// The claims of a JWT, whoever signed it.
pub(crate) fn unverified_claims(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// Makes tokens for one answer.
pub(crate) struct Mint<'a> {
    pub(crate) host: &'a Host,
    pub(crate) issuer: &'a Issuer,
    pub(crate) config: &'a Config,
    pub(crate) place: &'a Place,
    pub(crate) hits: &'a Hits,
    /// Parameters of the request, for rules.
    pub(crate) params: &'a [(String, String)],
}

/// A JWT before it is signed.
struct Draft {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    seal: Seal,
    twice: Option<Twice>,
}

#[derive(Clone, Copy, PartialEq)]
enum Seal {
    Key(Alg, usize),
    Hmac(Alg, usize),
    Nothing,
    Broken(Alg, usize),
}

impl Mint<'_> {
    /// Issues an access token and remembers it.
    pub(crate) async fn access_token(&self, grantee: &Grantee) -> IssuedToken {
        let config = &self.config.token;
        let rule = self.rule();
        let lifetime = rule.and_then(|r| r.lifetime).map_or(config.lifetime, std::time::Duration::from_secs);
        let now = self.issuer.clock.now();
        // From the second of `iat`, so that `exp - iat` is what `expires_in` says.
        let mut expires = (now as u64).saturating_add(lifetime.as_secs());
        let id = random();
        let claims = self.access_claims(grantee, rule, &id, now as u64, expires);
        let opaque = config.format == TokenFormat::Opaque
            || (config.opaque_without_audience && grantee.audience.is_empty());
        let mut remembered = None;
        let token = if opaque {
            for kind in self.hits.kinds() {
                if let FaultKind::ExpiredToken { token, by } = kind
                    && token.is(Which::Access)
                {
                    expires = (now as u64).saturating_sub(*by);
                }
            }
            let mut claims = Value::Object(claims);
            claims["exp"] = expires.into();
            remembered = Some(claims);
            format!("at-{}{}", random(), random())
        } else {
            let mut header = Map::new();
            header.insert("typ".to_owned(), "at+jwt".into());
            let draft = self.draft(Which::Access, header, claims, rule);
            expires = draft.claims.get("exp").and_then(Value::as_u64).unwrap_or(expires);
            if self.hits.any(|k| matches!(k, FaultKind::NotAJwt { .. })) {
                remembered = Some(Value::Object(draft.claims.clone()));
            }
            self.sealed(Which::Access, draft).await
        };
        let token = self.stretched(token);
        let issued = IssuedToken {
            token: Secret::new(token.clone()),
            client_id: grantee.client_id.clone(),
            id,
            lifetime,
            expires,
            revoked: false,
        };
        let stored = StoredToken { issued: issued.clone(), grantee: grantee.clone(), claims: remembered };
        self.issuer.store().tokens.insert(token, stored);
        self.host.metrics.token_issued();
        issued
    }

    fn access_claims(
        &self,
        grantee: &Grantee,
        rule: Option<&ClaimsRule>,
        id: &str,
        now: u64,
        expires: u64,
    ) -> Map<String, Value> {
        let config = &self.config.token;
        let sub = self.sub(grantee);
        let audience: Value = match grantee.audience.as_slice() {
            [] => crate::answer::filled_text(&config.audience, &self.values(grantee, &sub)).into(),
            [one] => one.clone().into(),
            several => several.to_vec().into(),
        };
        let mut claims = json!({
            "iss": self.place.issuer, "sub": sub, "client_id": grantee.client_id, "aud": audience,
            "iat": now, "exp": expires, "jti": id,
        });
        if let Some(scope) = &grantee.scope {
            match config.scope_claim {
                ScopeClaim::Scope => claims["scope"] = scope.clone().into(),
                ScopeClaim::ScpString => claims["scp"] = scope.clone().into(),
                ScopeClaim::ScpArray => claims["scp"] = scope.split(' ').collect::<Vec<_>>().into(),
            }
        }
        if let Some((member, thumbprint)) = &grantee.confirmation {
            claims["cnf"] = json!({ *member: thumbprint });
        }
        if let Some(actor) = &grantee.actor {
            claims["act"] = actor.clone();
        }
        if let Some(auth_time) = grantee.auth_time {
            claims["auth_time"] = auth_time.into();
        }
        self.patched(&mut claims, &config.claims, grantee, &sub);
        if let Some(rule) = rule {
            self.patched(&mut claims, &rule.claims, grantee, &sub);
        }
        into_map(claims)
    }

    /// An ID token for a login (OpenID Connect Core 1.0 §2).
    pub(crate) async fn id_token(
        &self,
        grantee: &Grantee,
        access_token: Option<&str>,
        code: Option<&str>,
    ) -> String {
        let rule = self.rule();
        let config = &self.config.token;
        let now = self.issuer.clock.seconds();
        let sub = self.sub(grantee);
        let mut claims = json!({ "iss": self.place.issuer, "sub": sub, "aud": grantee.client_id,
            "iat": now, "exp": now.saturating_add(config.id_lifetime.as_secs()) });
        for (name, value) in &grantee.user_claims {
            claims[name.as_str()] = value.clone();
        }
        let optional = [
            ("nonce", grantee.nonce.clone().map(Value::from)),
            ("auth_time", grantee.auth_time.map(Value::from)),
            ("acr", grantee.acr.clone().map(Value::from)),
            ("sid", grantee.session.clone().map(Value::from)),
            ("at_hash", access_token.map(|t| half_hash(self.alg(grantee), t).into())),
            ("c_hash", code.map(|t| half_hash(self.alg(grantee), t).into())),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                claims[name] = value;
            }
        }
        self.patched(&mut claims, &config.id_claims, grantee, &sub);
        if let Some(rule) = rule {
            self.patched(&mut claims, &rule.claims, grantee, &sub);
            // The audience of a rule is for access tokens; an ID token is for its client.
            claims["aud"] = grantee.client_id.clone().into();
        }
        let first = !std::mem::replace(&mut self.issuer.store().has_issued_id_token, true);
        if self.config.quirks.first_iss_without_scheme && first {
            let bare = self.place.issuer.split_once("://").map_or("", |(_, rest)| rest).to_owned();
            claims["iss"] = bare.into();
        }
        self.spoil_login(&mut claims);
        let mut header = Map::new();
        header.insert("typ".to_owned(), "JWT".into());
        let mut draft = self.draft(Which::Id, header, into_map(claims), rule);
        if let Seal::Key(alg, _) = draft.seal
            && alg != self.alg(grantee)
        {
            let alg = self.alg(grantee);
            let signing = self.issuer.keys.signing(alg);
            draft.header.insert("alg".to_owned(), alg.as_str().into());
            draft.header.insert("kid".to_owned(), signing.kid.into());
            draft.seal = Seal::Key(alg, signing.nth);
        }
        self.sealed(Which::Id, draft).await
    }

    /// What faults make of the claims of a login.
    fn spoil_login(&self, claims: &mut Value) {
        for kind in self.hits.kinds() {
            match kind {
                FaultKind::WrongNonce => claims["nonce"] = "a-nonce-of-another-login".into(),
                FaultKind::NoNonce => {
                    claims.as_object_mut().map(|c| c.shift_remove("nonce"));
                }
                FaultKind::WrongAtHash => {
                    claims["at_hash"] = half_hash(self.config.token.alg, "another token").into();
                }
                _ => {}
            }
        }
    }

    /// Any claims, signed by this issuer: what the control API mints.
    pub(crate) async fn signed(&self, claims: Map<String, Value>, header: Map<String, Value>) -> String {
        let mut draft = self.draft(Which::Access, Map::new(), claims, None);
        draft.header.extend(header);
        self.sealed(Which::Access, draft).await
    }

    /// Any claims, with what an order has beside them.
    pub(crate) async fn signed_as_ordered(&self, claims: Map<String, Value>, twice: Option<Twice>) -> String {
        let draft = self.draft(Which::Access, Map::new(), claims, None);
        self.sealed(Which::Access, Draft { twice, ..draft }).await
    }

    /// The algorithm that the client registered for its ID tokens, or the issuer's.
    fn alg(&self, grantee: &Grantee) -> Alg {
        let store = self.issuer.store();
        let wanted = store
            .clients
            .get(&grantee.client_id)
            .and_then(|r| r.metadata.get("id_token_signed_response_alg"));
        let known = wanted.and_then(Value::as_str).and_then(Alg::from_name);
        known.filter(|a| Issuer::algs(self.config).contains(a)).unwrap_or(self.config.token.alg)
    }

    /// `sub` of a token.
    pub(crate) fn sub(&self, grantee: &Grantee) -> String {
        grantee.sub.clone().unwrap_or_else(|| {
            let values =
                [("client_id", grantee.client_id.as_str()), ("clientId", grantee.client_id.as_str())];
            crate::answer::filled_text(&self.config.token.client_sub, &values)
        })
    }

    /// What templates may name.
    fn values<'v>(&'v self, grantee: &'v Grantee, sub: &'v str) -> [(&'v str, &'v str); 6] {
        [
            ("client_id", &grantee.client_id),
            ("clientId", &grantee.client_id),
            ("sub", sub),
            ("scope", grantee.scope.as_deref().unwrap_or_default()),
            ("issuer", &self.place.issuer),
            ("tenant", &self.place.tenant),
        ]
    }

    /// Lays a patch of the configuration over a document.
    pub(crate) fn patched(
        &self,
        document: &mut Value,
        patch: &Map<String, Value>,
        grantee: &Grantee,
        sub: &str,
    ) {
        if !patch.is_empty() {
            let patch = filled(&Value::Object(patch.clone()), &self.values(grantee, sub));
            json_patch::merge(document, &patch);
        }
    }

    /// The first rule that fits the request.
    pub(crate) fn rule(&self) -> Option<&ClaimsRule> {
        self.config.token.rules.iter().find(|rule| {
            let mut values =
                self.params.iter().filter(|(name, _)| *name == rule.param).map(|(_, value)| value);
            values.any(|value| {
                rule.matches == "*"
                    || rule.matches == *value
                    || regex_lite::Regex::new(&format!("^(?:{})$", rule.matches))
                        .is_ok_and(|r| r.is_match(value))
            })
        })
    }

    fn draft(
        &self,
        which: Which,
        header: Map<String, Value>,
        claims: Map<String, Value>,
        rule: Option<&ClaimsRule>,
    ) -> Draft {
        let alg = self.config.token.alg;
        let quirk = which == Which::Access && self.config.quirks.access_tokens_not_in_jwks;
        for kind in self.hits.kinds() {
            match kind {
                FaultKind::RotateBeforeSigning if which == Which::Access => self.issuer.keys.rotate(alg),
                FaultKind::SameKidNewKey if which == Which::Access => self.issuer.keys.replace(alg),
                _ => {}
            }
        }
        let signing = self.issuer.keys.signing(alg);
        let mut draft = Draft { header, claims, seal: Seal::Key(alg, signing.nth), twice: None };
        draft.header.insert("alg".to_owned(), alg.as_str().into());
        draft.header.insert("kid".to_owned(), signing.kid.into());
        if quirk {
            draft.header.insert("kid".to_owned(), "not-for-you".into());
            draft.seal = Seal::Key(alg, WITHDRAWN);
        }
        if which == Which::Access {
            let patch = filled(&Value::Object(self.config.token.header.clone()), &[]);
            merge(&mut draft.header, &patch);
        }
        if let Some(rule) = rule {
            draft.header.extend(rule.header.clone());
        }
        for kind in self.hits.kinds() {
            self.spoil_claims(which, kind, &mut draft);
            self.spoil_header(which, kind, &mut draft, alg);
        }
        draft
    }

    /// What one fault makes of the claims of a token.
    fn spoil_claims(&self, which: Which, kind: &FaultKind, draft: &mut Draft) {
        let now = self.issuer.clock.seconds();
        let shift = |claims: &mut Map<String, Value>, name: &str, to: u64| {
            claims.insert(name.to_owned(), to.into());
        };
        match kind {
            FaultKind::ExpiredToken { token, by } if token.is(which) => {
                shift(&mut draft.claims, "exp", now.saturating_sub(*by));
                shift(&mut draft.claims, "iat", now.saturating_sub(by.saturating_add(3600)));
            }
            FaultKind::FutureToken { token, by } if token.is(which) => {
                shift(&mut draft.claims, "nbf", now.saturating_add(*by));
                shift(&mut draft.claims, "iat", now.saturating_add(*by));
                shift(&mut draft.claims, "exp", now.saturating_add(by.saturating_add(3600)));
            }
            FaultKind::WrongIss { token } if token.is(which) => {
                draft.claims.insert("iss".to_owned(), "https://another-issuer.example".into());
            }
            FaultKind::WrongAud { token } if token.is(which) => {
                draft.claims.insert("aud".to_owned(), "https://another-audience.example".into());
            }
            FaultKind::LongToken { bytes } if which == Which::Access => {
                // Base64 makes four characters of three bytes.
                let padding = "x".repeat((*bytes).min(1 << 20) as usize * 3 / 4);
                draft.claims.insert("padding".to_owned(), padding.into());
            }
            FaultKind::Claims { token, patch } if token.is(which) => merge(&mut draft.claims, patch),
            _ => {}
        }
    }

    /// What one fault makes of header and signature.
    fn spoil_header(&self, which: Which, kind: &FaultKind, draft: &mut Draft, alg: Alg) {
        let nth = match draft.seal {
            Seal::Key(_, nth) | Seal::Hmac(_, nth) | Seal::Broken(_, nth) => nth,
            Seal::Nothing => 0,
        };
        match kind {
            FaultKind::WrongKey { token } if token.is(which) => draft.seal = Seal::Key(alg, STRANGER),
            FaultKind::WithdrawnKey => {
                draft
                    .header
                    .insert("kid".to_owned(), format!("{}-withdrawn", alg.as_str().to_lowercase()).into());
                draft.seal = Seal::Key(alg, WITHDRAWN);
            }
            FaultKind::UnknownKid { token } if token.is(which) => {
                draft.header.insert("kid".to_owned(), format!("unknown-{}", random()).into());
            }
            FaultKind::NoKid { token } if token.is(which) => {
                draft.header.shift_remove("kid");
            }
            FaultKind::AlgNone { token } if token.is(which) => {
                draft.header.insert("alg".to_owned(), "none".into());
                draft.seal = Seal::Nothing;
            }
            FaultKind::HmacWithPublicKey { token } if token.is(which) => {
                draft.header.insert("alg".to_owned(), "HS256".into());
                draft.seal = Seal::Hmac(alg, nth);
            }
            FaultKind::Jku { token } if token.is(which) => {
                let url = format!("{}/_elsewhere/jwks.json", self.elsewhere());
                draft.header.insert("jku".to_owned(), url.into());
                draft.header.insert("kid".to_owned(), "stranger".into());
                draft.seal = Seal::Key(alg, STRANGER);
            }
            FaultKind::X5u { token } if token.is(which) => {
                let url = format!("{}/_elsewhere/certificate.pem", self.elsewhere());
                draft.header.insert("x5u".to_owned(), url.into());
                draft.header.insert("kid".to_owned(), "stranger".into());
                draft.seal = Seal::Key(alg, STRANGER);
            }
            FaultKind::EmbeddedJwk { token } if token.is(which) => {
                let jwk = self.config.keys.key(alg, STRANGER).jwk("stranger");
                draft.header.insert("jwk".to_owned(), jwk);
                draft.header.insert("kid".to_owned(), "stranger".into());
                draft.seal = Seal::Key(alg, STRANGER);
            }
            FaultKind::CriticalHeader { token } if token.is(which) => {
                draft.header.insert("crit".to_owned(), json!(["https://mock-idp.example/unknown"]));
                draft.header.insert("https://mock-idp.example/unknown".to_owned(), true.into());
            }
            FaultKind::StrippedSignature { token } if token.is(which) => draft.seal = Seal::Nothing,
            FaultKind::BrokenSignature { token } if token.is(which) => draft.seal = Seal::Broken(alg, nth),
            FaultKind::JwtHeader { token, patch } if token.is(which) => merge(&mut draft.header, patch),
            _ => {}
        }
    }

    fn elsewhere(&self) -> String {
        crate::place::by_another_name(&self.host.origin())
    }

    async fn sealed(&self, which: Which, draft: Draft) -> String {
        let not_a_jwt = |k: &FaultKind| matches!(k, FaultKind::NotAJwt { token } if token.is(which));
        if self.hits.any(not_a_jwt) {
            return "this-is-no-jwt".to_owned();
        }
        let part = |members: Map<String, Value>, part| {
            let mut text = Value::Object(members).to_string();
            if let Some(twice) = draft.twice.as_ref().filter(|twice| twice.part == part) {
                text.insert_str(1, &format!("{}:{},", Value::from(twice.member.as_str()), twice.value));
            }
            URL_SAFE_NO_PAD.encode(text)
        };
        let text =
            format!("{}.{}", part(draft.header, TokenPart::Header), part(draft.claims, TokenPart::Claims));
        let pool = &self.config.keys;
        match draft.seal {
            Seal::Key(alg, nth) => self.host.signer.sign(pool, alg, nth, text).await,
            Seal::Nothing => format!("{text}."),
            Seal::Hmac(alg, nth) => {
                use aws_lc_rs::hmac;
                let pem = pool.key(alg, nth).public_pem();
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &pem), text.as_bytes());
                format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
            }
            Seal::Broken(alg, nth) => {
                let signed = self.host.signer.sign(pool, alg, nth, text.clone()).await;
                let signature = signed.rsplit('.').next().unwrap_or_default();
                let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
                if let Some(byte) = bytes.last_mut() {
                    *byte ^= 1;
                }
                format!("{text}.{}", URL_SAFE_NO_PAD.encode(bytes))
            }
        }
    }

    /// An opaque token as long as a fault wants it; a JWT got its length as a claim, so that its signature is right.
    fn stretched(&self, token: String) -> String {
        let wanted = self.hits.kinds().find_map(|k| match k {
            FaultKind::LongToken { bytes } => Some((*bytes).min(1 << 20) as usize),
            _ => None,
        });
        match wanted {
            Some(bytes) if token.len() < bytes && !token.contains('.') => {
                let missing = bytes - token.len();
                token + &"x".repeat(missing)
            }
            _ => token,
        }
    }
}

/// Left half of the hash of the signature's algorithm (OpenID Connect Core 1.0 §3.1.3.6).
pub(crate) fn half_hash(alg: Alg, text: &str) -> String {
    use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
    let hash = match alg {
        Alg::Rs256 | Alg::Ps256 | Alg::Es256 => digest(&SHA256, text.as_bytes()),
        Alg::Rs384 | Alg::Ps384 | Alg::Es384 => digest(&SHA384, text.as_bytes()),
        Alg::Rs512 | Alg::Ps512 | Alg::EdDsa => digest(&SHA512, text.as_bytes()),
    };
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

/// SHA-256, base64url.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

fn merge(members: &mut Map<String, Value>, patch: &Value) {
    let mut document = Value::Object(std::mem::take(members));
    json_patch::merge(&mut document, patch);
    *members = into_map(document);
}

fn into_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
