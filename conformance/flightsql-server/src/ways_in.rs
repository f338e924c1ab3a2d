//! Who a caller is: judged from the head of a call, before any of its body runs.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use arrow_flight::HandshakeResponse;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use lru::LruCache;
use tonic::metadata::MetadataMap;
use tonic::{Response, Status};

use crate::attribution::{self, Attribution};
use crate::config::{HandshakeAnswer, WaysIn};
use crate::connection::Peer;
use crate::defect::Defect;
use crate::ids;
use crate::jwks::KeySet;
use crate::record::{Presented, TokenState};
use crate::remembered::{Digest, Remembered, at_most};
use crate::secret::Secret;
use crate::validate::{self, Identity, Refusal};

/// Clients send Basic padded and unpadded.
const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The answer to "who is it?".
pub(crate) struct Judged {
    pub(crate) presented: Vec<Presented>,
    pub(crate) remaining_ms: Option<i64>,
    pub(crate) principal: Result<String, Status>,
}

/// The ways in of a server, with what it has given out and seen.
pub(crate) struct Door {
    ways: WaysIn,
    issuers: Vec<KeySet>,
    good: Remembered,
    state: Mutex<State>,
}

/// So many tokens are remembered of each sort; whoever sends more gets those forgotten that are unused for longest.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("not zero");

struct State {
    /// Tokens that Handshakes gave.
    sessions: LruCache<String, String>,
    /// Bearer values that were seen.
    seen: LruCache<Digest, ()>,
    /// Those that are not taken any more.
    refused: LruCache<Digest, ()>,
    /// Calls that were refused: only a defect looks at it.
    refusals: u32,
}

impl Default for State {
    fn default() -> Self {
        Self {
            sessions: at_most(REMEMBERED),
            seen: at_most(REMEMBERED),
            refused: at_most(REMEMBERED),
            refusals: 0,
        }
    }
}

impl Door {
    pub(crate) fn new(ways: WaysIn, http: &reqwest::Client) -> Self {
        let issuers = ways
            .oauth
            .iter()
            .map(|trusted| KeySet::new(trusted.clone(), http.clone(), ways.defect))
            .collect();
        Self { ways, issuers, good: Remembered::default(), state: Mutex::default() }
    }

    /// Every bearer value seen so far is not taken any more.
    pub(crate) fn refuse_seen(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = std::mem::replace(&mut state.seen, at_most(REMEMBERED));
        for (token, ()) in seen {
            state.refused.put(token, ());
        }
    }

    /// Judges the head of any call but a Handshake.
    pub(crate) fn judge<'s>(&'s self, metadata: &'s MetadataMap, peer: &'s Peer) -> BoxFuture<'s, Judged> {
        Box::pin(async move {
            let mut values = authorization(metadata);
            if let Some(judged) = self.misjudged(metadata, &mut values) {
                return judged;
            }
            let mut presented = Vec::new();
            let (mut first, mut remaining_ms) = (None, None);
            for (scheme, credential) in values {
                let (state, identity) = self.worth(&scheme, &credential).await;
                if first.is_none() {
                    let expires = identity.as_ref().ok().and_then(|identity| identity.expires);
                    remaining_ms =
                        expires.map_or_else(|| validate::remaining_ms(&credential), validate::until);
                    first = Some(identity);
                }
                presented.push(Presented { scheme, credential: Secret::new(credential), state });
            }
            let certificate = peer.certificate.as_ref().filter(|_| self.ways.certificates);
            let identity = match (first, presented.len()) {
                (None, _) => match certificate {
                    Some(name) => Ok(known(name)),
                    None if self.ways.anonymous => Ok(known("anonymous")),
                    None => Err(Status::unauthenticated("no authorization header")),
                },
                (Some(identity), 1) => identity,
                (Some(_), _) => Err(Status::unauthenticated("more than one authorization header")),
            };
            let principal = identity.and_then(|identity| self.attributed(identity, metadata));
            if principal.is_err() {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.refusals = state.refusals.saturating_add(1);
            }
            Judged { presented, remaining_ms, principal }
        })
    }

    /// What a defect makes of a call before anything is looked at; it may leave out a value.
    fn misjudged(&self, metadata: &MetadataMap, values: &mut Vec<(String, String)>) -> Option<Judged> {
        let named = metadata.get("x-user-id").and_then(|name| name.to_str().ok());
        let principal = match self.ways.defect? {
            Defect::RefusesEverybody => Err(Status::unauthenticated("nobody is let in")),
            Defect::LockedByBadTokens => {
                let refusals = self.state.lock().unwrap_or_else(PoisonError::into_inner).refusals;
                if refusals < 20 {
                    return None;
                }
                Err(Status::unauthenticated("nobody is let in any more"))
            }
            Defect::ServesEverybody => Ok("anybody".to_owned()),
            Defect::TrustsUserHeaders => Ok(named?.to_owned()),
            Defect::FirstOfTwoValues => {
                values.truncate(1);
                return None;
            }
            Defect::LastOfTwoValues => {
                values.drain(..values.len().saturating_sub(1));
                return None;
            }
            _ => return None,
        };
        Some(Judged { presented: Vec::new(), remaining_ms: None, principal })
    }

    /// The principal, unless the headers name another and that is not allowed.
    fn attributed(&self, identity: Identity, metadata: &MetadataMap) -> Result<String, Status> {
        let Identity { principal, names, .. } = identity;
        match self.ways.attribution {
            Attribution::LogOnly => Ok(principal),
            Attribution::RefuseMismatch => {
                let all: Vec<&str> = names.iter().chain([&principal]).map(String::as_str).collect();
                if attribution::names_another(metadata, &all) {
                    return Err(Status::permission_denied("the headers name another user than the token"));
                }
                Ok(principal)
            }
        }
    }

    /// A defect lets this method in without looking at a token.
    pub(crate) fn is_open(&self, method: &str) -> bool {
        match self.ways.defect {
            Some(Defect::ChecksQueriesOnly) => !["GetFlightInfo", "DoGet"].contains(&method),
            Some(Defect::OpenDoGet) => method == "DoGet",
            _ => false,
        }
    }

    /// Judges a Handshake; the token that it gives.
    pub(crate) fn handshake<'s>(
        &'s self,
        metadata: &'s MetadataMap,
        peer: &'s Peer,
    ) -> BoxFuture<'s, (Judged, Option<String>)> {
        Box::pin(async move {
            let values = authorization(metadata);
            let basic = values
                .first()
                .filter(|(scheme, _)| values.len() == 1 && scheme.eq_ignore_ascii_case("basic"));
            let Some((scheme, credential)) = basic else {
                let judged = self.judge(metadata, peer).await;
                let echoed =
                    judged.principal.is_ok().then(|| values.into_iter().next().map(|(_, c)| c)).flatten();
                return (judged, echoed);
            };
            let user = self.user_of(credential);
            let state = if user.is_some() { TokenState::BasicValid } else { TokenState::BasicInvalid };
            let given = user.as_ref().map(|user| self.new_session(user));
            let judged = Judged {
                presented: vec![Presented {
                    scheme: scheme.clone(),
                    credential: Secret::new(credential.clone()),
                    state,
                }],
                remaining_ms: None,
                principal: user.ok_or_else(|| Status::unauthenticated("wrong username or password")),
            };
            (judged, given)
        })
    }

    fn user_of(&self, credential: &str) -> Option<String> {
        let (given_user, given_password) = basic(credential)?;
        let known = |(user, password): &&(String, Secret)| {
            same(user, &given_user) & same(password.expose(), given_password.expose())
        };
        self.ways.basic.iter().find(known).map(|(user, _)| user.clone())
    }

    fn new_session(&self, user: &str) -> String {
        let token = format!("session-{}", ids::random());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sessions.put(token.clone(), user.to_owned());
        token
    }

    /// The answer to a Handshake, with the token where it is wanted. Nothing of the request is waited for.
    pub(crate) fn handshake_answer(
        &self,
        token: Option<String>,
    ) -> Response<BoxStream<'static, Result<HandshakeResponse, Status>>> {
        let Some(token) = token else { return Response::new(stream::empty().boxed()) };
        let value = format!("Bearer {token}").parse();
        let message = HandshakeResponse { protocol_version: 0, payload: token.into_bytes().into() };
        let messages = stream::once(async { Ok(message) });
        match (self.ways.handshake, value) {
            (HandshakeAnswer::Header, Ok(value)) => {
                let mut response = Response::new(messages.boxed());
                response.metadata_mut().insert("authorization", value);
                response
            }
            (HandshakeAnswer::Trailer, Ok(value)) => {
                // Trailers are sent with a status only; this one says that all is well.
                let mut status = Status::ok("");
                status.metadata_mut().insert("authorization", value);
                Response::new(stream::once(async { Err(status) }).boxed())
            }
            (HandshakeAnswer::Payload, _) | (_, Err(_)) => Response::new(messages.boxed()),
        }
    }

    async fn worth(&self, scheme: &str, credential: &str) -> (TokenState, Result<Identity, Status>) {
        let refuse = |state, why: &str| (state, Err(Status::unauthenticated(why.to_owned())));
        if scheme.eq_ignore_ascii_case("basic") && self.ways.basic_in_calls {
            return match self.user_of(credential) {
                Some(user) => (TokenState::BasicValid, Ok(known(&user))),
                None => refuse(TokenState::BasicInvalid, "wrong username or password"),
            };
        }
        if scheme.eq_ignore_ascii_case("basic") && self.ways.defect != Some(Defect::AnyScheme) {
            return refuse(TokenState::BasicInvalid, "username and password belong into a Handshake");
        }
        let has = |defect| Defect::is(self.ways.defect, defect);
        if has(Defect::TokenInLog) {
            crate::defect::log(credential);
        }
        if has(Defect::DiesOfAnOddToken) && !validate::looks_like_jwt(credential) {
            std::process::exit(1);
        }
        let is_bearer = match self.ways.defect {
            Some(Defect::CaseSensitiveScheme) => scheme == "Bearer",
            Some(Defect::AnyScheme) => true,
            _ => scheme.eq_ignore_ascii_case("bearer"),
        };
        if !is_bearer || credential.is_empty() {
            return refuse(TokenState::Malformed, "the authorization header holds no token");
        }
        if self.ways.static_tokens.iter().any(|t| same(t.expose(), credential)) {
            return (TokenState::StaticValid, Ok(known("static-token")));
        }
        let digest = Digest::of(credential);
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(user) = state.sessions.get(credential) {
                return (TokenState::SessionValid, Ok(known(user)));
            }
            if state.refused.contains(&digest) {
                return refuse(TokenState::Refused, "the token was revoked");
            }
            state.seen.put(digest, ());
        }
        if has(Defect::AcceptsOpaque) && !validate::looks_like_jwt(credential) {
            return (TokenState::Valid, Ok(known("somebody")));
        }
        if validate::looks_like_jwt(credential) {
            // A defect is about judging: it judges each time.
            if self.ways.defect.is_none()
                && let Some(identity) = self.good.identity(&digest, &self.issuers).await
            {
                return (TokenState::Valid, Ok(identity));
            }
            return match validate::good(credential, &self.issuers).await {
                Ok(good) => {
                    let identity = good.identity.clone();
                    self.good.put(digest, good);
                    if has(Defect::RemembersVerdicts) {
                        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                        state.sessions.put(credential.to_owned(), identity.principal.clone());
                    }
                    (TokenState::Valid, Ok(identity))
                }
                Err(Refusal::Token(state, why)) => refuse(state, why),
                Err(Refusal::Issuer(why)) => {
                    tracing::warn!(why, "an issuer cannot be asked for its keys");
                    (TokenState::Unknown, Err(Status::unavailable("the issuer cannot be asked for its keys")))
                }
            };
        }
        self.opaque(credential).await
    }

    async fn opaque(&self, token: &str) -> (TokenState, Result<Identity, Status>) {
        for issuer in &self.issuers {
            match issuer.introspect(token).await {
                Ok(Some(active)) => {
                    let expired =
                        active.expires.and_then(|e| validate::until(e as f64)).is_some_and(|ms| ms < 0);
                    if expired {
                        return (TokenState::Expired, Err(Status::unauthenticated("the token is expired")));
                    }
                    return (TokenState::Valid, Ok(known(&active.principal)));
                }
                Ok(None) => {}
                Err(_) => {
                    let status = Status::unavailable("the issuer cannot be asked about the token");
                    return (TokenState::Unknown, Err(status));
                }
            }
        }
        (TokenState::Unknown, Err(Status::unauthenticated("the token is not known")))
    }
}

fn known(name: &str) -> Identity {
    Identity { principal: name.to_owned(), names: Vec::new(), expires: None }
}

/// User and password of Basic credentials (RFC 7617 §2): the password may have colons.
pub(crate) fn basic(credential: &str) -> Option<(String, Secret)> {
    let text = String::from_utf8(ANY_PADDING.decode(credential).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Secret::new(password)))
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
fn same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// Every `authorization` value, split into scheme and credential.
fn authorization(metadata: &MetadataMap) -> Vec<(String, String)> {
    metadata
        .get_all("authorization")
        .iter()
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            match text.split_once(' ') {
                Some((scheme, credential)) => (scheme.to_owned(), credential.trim().to_owned()),
                None => (text, String::new()),
            }
        })
        .collect()
}
