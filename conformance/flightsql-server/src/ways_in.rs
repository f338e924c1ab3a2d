//! Who a caller is: judged from the head of a call, before any of its body runs.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::config::WaysIn;
use crate::jwks::KeySet;
use crate::record::{Presented, TokenState};
use crate::secret::Secret;
use crate::validate::{self, Refusal};

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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Tokens that Handshakes gave.
    sessions: HashMap<String, String>,
    /// Bearer values that were seen.
    seen: HashSet<String>,
    /// Those that are not taken any more.
    refused: HashSet<String>,
}

impl Door {
    pub(crate) fn new(ways: WaysIn, http: &reqwest::Client) -> Self {
        let issuers = ways.oauth.iter().map(|trusted| KeySet::new(trusted.clone(), http.clone())).collect();
        Self { ways, issuers, state: Mutex::default() }
    }

    /// Every bearer value seen so far is not taken any more.
    pub(crate) fn refuse_seen(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = std::mem::take(&mut state.seen);
        state.refused.extend(seen);
    }

    /// Judges the head of any call but a Handshake.
    pub(crate) async fn judge(&self, metadata: &MetadataMap) -> Judged {
        let values = authorization(metadata);
        let remaining_ms = values.first().and_then(|(_, credential)| validate::remaining_ms(credential));
        let mut presented = Vec::new();
        let mut first = None;
        for (scheme, credential) in values {
            let (state, principal) = self.worth(&scheme, &credential).await;
            presented.push(Presented { scheme, credential: Secret::new(credential), state });
            first.get_or_insert(principal);
        }
        let principal = match (first, presented.len()) {
            (None, _) if self.ways.anonymous => Ok("anonymous".to_owned()),
            (None, _) => Err(Status::unauthenticated("no authorization header")),
            (Some(principal), 1) => principal,
            (Some(_), _) => Err(Status::unauthenticated("more than one authorization header")),
        };
        Judged { presented, remaining_ms, principal }
    }

    /// Judges a Handshake; the token that it gives.
    pub(crate) async fn handshake(&self, metadata: &MetadataMap) -> (Judged, Option<String>) {
        let values = authorization(metadata);
        let basic =
            values.first().filter(|(scheme, _)| values.len() == 1 && scheme.eq_ignore_ascii_case("basic"));
        let Some((scheme, credential)) = basic else {
            let judged = self.judge(metadata).await;
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
    }

    fn user_of(&self, credential: &str) -> Option<String> {
        let text = String::from_utf8(ANY_PADDING.decode(credential).ok()?).ok()?;
        let (given_user, given_password) = text.split_once(':')?;
        let known =
            |(user, password): &&(String, Secret)| user == given_user && password.expose() == given_password;
        self.ways.basic.iter().find(known).map(|(user, _)| user.clone())
    }

    fn new_session(&self, user: &str) -> String {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        let token = format!("session-{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes));
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sessions
            .insert(token.clone(), user.to_owned());
        token
    }

    async fn worth(&self, scheme: &str, credential: &str) -> (TokenState, Result<String, Status>) {
        let refuse = |state, why: &str| (state, Err(Status::unauthenticated(why.to_owned())));
        if scheme.eq_ignore_ascii_case("basic") {
            return refuse(TokenState::BasicInvalid, "username and password belong into a Handshake");
        }
        if !scheme.eq_ignore_ascii_case("bearer") || credential.is_empty() {
            return refuse(TokenState::Malformed, "the authorization header holds no token");
        }
        if self.ways.static_tokens.iter().any(|t| t.expose() == credential) {
            return (TokenState::StaticValid, Ok("static-token".to_owned()));
        }
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(user) = state.sessions.get(credential) {
                return (TokenState::SessionValid, Ok(user.clone()));
            }
            if state.refused.contains(credential) {
                return refuse(TokenState::Refused, "the token was revoked");
            }
            state.seen.insert(credential.to_owned());
        }
        if validate::looks_like_jwt(credential) {
            return match validate::subject(credential, &self.issuers).await {
                Ok(subject) => (TokenState::Valid, Ok(subject)),
                Err(Refusal::Token(state, why)) => refuse(state, why),
                Err(Refusal::Issuer(why)) => {
                    tracing::warn!(why, "an issuer cannot be asked for its keys");
                    (TokenState::Unknown, Err(Status::unavailable("the issuer cannot be asked for its keys")))
                }
            };
        }
        self.opaque(credential).await
    }

    async fn opaque(&self, token: &str) -> (TokenState, Result<String, Status>) {
        for issuer in &self.issuers {
            match issuer.introspect(token).await {
                Ok(Some(active)) => {
                    let expired =
                        active.expires.and_then(|e| validate::until(e as f64)).is_some_and(|ms| ms < 0);
                    if expired {
                        return (TokenState::Expired, Err(Status::unauthenticated("the token is expired")));
                    }
                    return (TokenState::Valid, Ok(active.principal));
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
