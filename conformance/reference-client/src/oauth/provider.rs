//! One cache per configuration: hands out tokens, fetches them when needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use reqwest::{Client, StatusCode, header};
use tokio::time::Instant;
use url::Url;

use super::answer;
use super::discovery::{Metadata, discover};
use super::request::{Style, TokenRequest, basic};
use super::single_flight::SingleFlight;
use super::token::{Freshness, Token};
use crate::behaviour::{Behaviour, Defect, Variant};
use crate::config::{OAuth, Source};
use crate::failure::{Class, Failure, within};
use crate::http;
use crate::log::Log;
use crate::redact::Redactor;
use crate::secret::Secret;

const MAX_ANSWER: usize = 256 * 1024;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The pause for a `Retry-After` that is a date.
const PAUSE_UNTIL_A_DATE: Duration = Duration::from_secs(5);

/// Documents of issuers that a whole process shares; only the defect `knows-issuer-already` does that.
pub(crate) type Documents = Arc<Mutex<HashMap<String, Metadata>>>;

/// The tokens of one OAuth configuration, shared by all sessions that have it.
pub(crate) struct TokenProvider {
    inner: Arc<Inner>,
    fetches: SingleFlight<Token>,
}

struct Inner {
    oauth: OAuth,
    http: Client,
    behaviour: Behaviour,
    log: Log,
    redactor: Arc<Redactor>,
    discovery: SingleFlight<Metadata>,
    known: Arc<Mutex<Known>>,
    documents: Documents,
}

/// What earlier fetches have found out.
#[derive(Default)]
struct Known {
    token: Option<Token>,
    metadata: Option<Metadata>,
    /// The style that has worked.
    style: Option<Style>,
    /// No token request before this moment: the issuer has asked for a pause.
    pause_until: Option<Instant>,
    /// Kept by the defect `caches-failures` only.
    failure: Option<Failure>,
    /// Kept by the defect `uses-refresh-token` only.
    refresh: Option<Secret>,
    /// Tokens that were fetched.
    fetched: u32,
    /// Exchanges with the token endpoint.
    exchanges: u32,
}

impl TokenProvider {
    pub(crate) fn new(
        oauth: OAuth,
        http: Client,
        redactor: Arc<Redactor>,
        log: Log,
        behaviour: Behaviour,
        documents: Documents,
    ) -> Self {
        let discovery = SingleFlight::new(behaviour);
        let known = Known { token: persisted(&oauth), ..Known::default() };
        let known = Arc::new(Mutex::new(known));
        let inner = Inner { oauth, http, behaviour, log, redactor, discovery, known, documents };
        Self { inner: Arc::new(inner), fetches: SingleFlight::new(behaviour) }
    }

    /// What keeps this provider's secrets and tokens out of texts.
    pub(crate) fn redactor(&self) -> Arc<Redactor> {
        Arc::clone(&self.inner.redactor)
    }

    /// A token to use now: the cached one while it is fresh, otherwise a new one that all callers share.
    pub(crate) async fn token(&self) -> Result<Token, Failure> {
        let behaviour = self.inner.behaviour;
        if behaviour.has(Defect::DiscoveryEveryTime) {
            self.inner.lock().metadata = None;
            self.inner.endpoint().await?;
        }
        let now = Instant::now();
        let (cached, failed) = {
            let known = self.inner.lock();
            (known.token.clone(), known.failure.clone())
        };
        if let Some(failure) = failed {
            return Err(failure);
        }
        let Some(token) = cached.filter(|_| !behaviour.has(Defect::NoCache)) else {
            return self.fetch().await;
        };
        if behaviour.has(Defect::NeverRenews) || self.inner.renews_no_more() {
            return Ok(token);
        }
        match token.freshness(now, behaviour.skew(token.lifetime)) {
            Freshness::Fresh => Ok(token),
            Freshness::Expired => self.fetch().await,
            Freshness::Due { .. } if behaviour.has(Defect::DropsTokenOnFailure) => self.fetch().await,
            // An issuer that is down does not matter while the old token still lives.
            Freshness::Due { usable_until } => {
                match tokio::time::timeout_at(usable_until, self.fetch()).await {
                    Ok(Ok(renewed)) => Ok(renewed),
                    Ok(Err(_)) | Err(_) => Ok(token),
                }
            }
        }
    }

    /// The server has refused this token: it is not used again.
    pub(crate) fn reject(&self, refused: &Token) {
        if self.inner.renews_no_more() {
            return;
        }
        let mut known = self.inner.lock();
        if known.token.as_ref().is_some_and(|token| token.value == refused.value) {
            known.token = None;
        }
    }

    /// Starts discovery without waiting for it.
    pub(crate) fn discover_early(&self) {
        if let Source::Issuer(issuer) = &self.inner.oauth.source {
            drop(self.inner.discovery(issuer));
        }
    }

    /// Nothing is cached any more; for the defect `token-per-metadata-call`.
    pub(crate) fn forget(&self) {
        self.inner.lock().token = None;
    }

    async fn fetch(&self) -> Result<Token, Failure> {
        let inner = Arc::clone(&self.inner);
        if inner.behaviour.has(Defect::Stampede) {
            return inner.fetch().await;
        }
        if inner.behaviour.has(Defect::DiscoveryStampede)
            && inner.lock().metadata.is_none()
            && let Source::Issuer(issuer) = &inner.oauth.source
        {
            let metadata = discover(&inner.http, issuer, inner.behaviour, None).await?;
            inner.lock().metadata = Some(metadata);
        }
        let first = inner.lock().token.is_none();
        let fetched = self.fetches.run(|| async move { inner.fetch().await }).await;
        if let Ok(token) = &fetched
            && first
            && self.inner.behaviour.has(Defect::RenewsInBackground)
        {
            tokio::spawn(keep_fresh(Arc::downgrade(&self.inner), token.clone()));
        }
        fetched
    }
}

/// Renews the token of a provider as long as that lives; for the defect `renews-in-background`.
async fn keep_fresh(provider: Weak<Inner>, mut token: Token) {
    loop {
        let Some(skew) = provider.upgrade().map(|inner| inner.behaviour.skew(token.lifetime)) else { return };
        tokio::time::sleep(token.lifetime.saturating_sub(skew)).await;
        let Some(inner) = provider.upgrade() else { return };
        match inner.fetch().await {
            Ok(renewed) => token = renewed,
            Err(_) => return,
        }
    }
}

/// The token that an earlier process has left behind; for the defect `persists-token`.
fn persisted(oauth: &OAuth) -> Option<Token> {
    let value = std::fs::read_to_string(oauth.kept_at.as_ref()?).ok()?;
    let lifetime = Duration::from_secs(3600);
    Some(Token { value: Secret::new(value), asked_at: Instant::now(), lifetime })
}

/// Leaves the token behind; for the defect `persists-token`.
fn persist(oauth: &OAuth, token: &Token) {
    if let Some(path) = &oauth.kept_at {
        // A client that keeps its tokens in a file does not fail when there is no room.
        let _ = std::fs::write(path, token.value.expose());
    }
}

impl Inner {
    async fn fetch(&self) -> Result<Token, Failure> {
        let paused = self.lock().pause_until.map(|until| until.saturating_duration_since(Instant::now()));
        if let Some(left) =
            paused.filter(|left| !left.is_zero() && !self.behaviour.has(Defect::IgnoresRetryAfter))
        {
            let seconds = left.as_secs() + 1;
            return Err(Failure::new(
                Class::Token,
                format!("the token endpoint has asked for a pause, {seconds} s are left"),
            ));
        }
        let result = self.fetch_now().await;
        let mut known = self.lock();
        match &result {
            Ok(token) => {
                persist(&self.oauth, token);
                known.token = Some(token.clone());
                known.fetched += 1;
            }
            Err(failure) if self.behaviour.has(Defect::CachesFailures) => {
                known.failure = Some(failure.clone())
            }
            Err(_) => {}
        }
        result
    }

    async fn fetch_now(&self) -> Result<Token, Failure> {
        let (mut endpoint, advertised) = self.endpoint().await?;
        if self.behaviour.has(Defect::DropsEndpointQuery) {
            endpoint.set_query(None);
        }
        within(self.behaviour.issuer_limit(), "the token request", async {
            let mut attempts: u32 = if self.behaviour.has(Defect::RetryStorm) { 20 } else { 1 };
            let mut asked = 0;
            loop {
                attempts = attempts.saturating_sub(1);
                asked += 1;
                match self.request_token(&endpoint, advertised).await {
                    Err(_) if attempts > 0 => {}
                    Ok(token) if self.loops_on(&token) && asked < 10 => {}
                    result => return result,
                }
            }
        })
        .await
    }

    fn renews_no_more(&self) -> bool {
        self.behaviour.has(Defect::RenewsOnce) && self.lock().fetched > 1
    }

    fn loops_on(&self, token: &Token) -> bool {
        self.behaviour.has(Defect::ZeroExpiresLoops) && token.lifetime <= answer::SHORTEST_LIFETIME
    }

    /// The token endpoint and the style that the issuer's document asks for.
    async fn endpoint(&self) -> Result<(Url, Option<Style>), Failure> {
        let issuer = match &self.oauth.source {
            Source::TokenUrl(url) => return Ok((url.clone(), None)),
            Source::Issuer(issuer) => issuer,
        };
        if self.behaviour.has(Defect::NeverDiscovers)
            && let Ok(url) = Url::parse(&format!("{}/oauth2/token", issuer.trim_end_matches('/')))
        {
            return Ok((url, None));
        }
        let shared = self.behaviour.has(Defect::KnowsIssuerAlready);
        let of_all = || self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.lock().metadata.clone();
        if shared && let Some(metadata) = of_all().get(issuer) {
            known = Some(metadata.clone());
        }
        let metadata = match known.filter(|_| !self.behaviour.has(Defect::DiscoveryEveryFetch)) {
            Some(metadata) => metadata,
            None => self.discovery(issuer).await?,
        };
        if shared {
            of_all().insert(issuer.clone(), metadata.clone());
        }
        let OAuth { client_id, client_secret, .. } = &self.oauth;
        let is_blank = client_id.trim().is_empty() || client_secret.expose().trim().is_empty();
        if is_blank && self.behaviour.has(Defect::ChecksLate) {
            return Err(Failure::configuration("`oauth.client_id` or `oauth.client_secret` is blank"));
        }
        Ok((metadata.token_endpoint, metadata.style))
    }

    fn discovery(&self, issuer: &str) -> impl Future<Output = Result<Metadata, Failure>> + use<> {
        let (http, issuer, behaviour) = (self.http.clone(), issuer.to_owned(), self.behaviour);
        let known = Arc::clone(&self.known);
        let shown = behaviour.has(Defect::AuthenticatesDiscovery).then(|| basic(&self.oauth, behaviour));
        self.discovery.run(move || async move {
            let metadata = discover(&http, &issuer, behaviour, shown).await?;
            known.lock().unwrap_or_else(PoisonError::into_inner).metadata = Some(metadata.clone());
            Ok(metadata)
        })
    }

    /// One request; a second one in the other style where the issuer has not said which it wants.
    async fn request_token(&self, endpoint: &Url, advertised: Option<Style>) -> Result<Token, Failure> {
        let remembered = self.lock().style;
        let (style, other) = styles(self.behaviour, advertised, remembered);
        if self.behaviour.has(Defect::WrongStyleTwice) {
            let wrong = if style == Style::Basic { Style::Post } else { Style::Basic };
            for _ in 0..2 {
                self.exchange(endpoint, wrong).await?;
            }
        }
        let (status, body, asked_at) = self.exchange(endpoint, style).await?;
        let refused = status != StatusCode::OK && answer::is_invalid_client(status, &body);
        match other.filter(|_| refused) {
            None => self.read(status, &body, asked_at, style),
            Some(other) => {
                let (status, body, asked_at) = self.exchange(endpoint, other).await?;
                self.read(status, &body, asked_at, other)
            }
        }
    }

    async fn exchange(
        &self,
        endpoint: &Url,
        style: Style,
    ) -> Result<(StatusCode, Vec<u8>, Instant), Failure> {
        if self.behaviour.has(Defect::SecretInLog) {
            let (id, secret) = (&self.oauth.client_id, self.oauth.client_secret.expose());
            self.log.line(format!("debug: token request with client_id={id} client_secret={secret}"));
        }
        let exchanges = {
            let mut known = self.lock();
            known.exchanges += 1;
            known.exchanges
        };
        if self.behaviour.has(Defect::StaleKeepAlive) && exchanges == 2 {
            return Err(Failure::new(Class::Token, "the token request failed: the connection was closed"));
        }
        let asked_at = Instant::now();
        let refresh = self.lock().refresh.clone();
        let (oauth, behaviour) = (&self.oauth, self.behaviour);
        let request = TokenRequest { oauth, endpoint, style, behaviour, refresh: refresh.as_ref() };
        let response = request.send(&self.http).await;
        let response = response.map_err(|failure| self.with_request(failure, &request))?;
        let status = response.status();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            self.lock().pause_until =
                response.headers().get(header::RETRY_AFTER).map(|value| Instant::now() + pause(value));
        }
        if self.behaviour.has(Defect::NeedsJsonType)
            && response.headers().get(header::CONTENT_TYPE).is_none_or(|found| found != "application/json")
        {
            return Err(Failure::new(Class::Token, "the token endpoint's answer is not `application/json`"));
        }
        if self.behaviour.has(Defect::EndlessAnswers) && response.content_length().is_none() {
            http::without_end(response).await;
            return Err(Failure::new(Class::Token, "the token endpoint's answer ended at last"));
        }
        let body = http::body(response, MAX_ANSWER, Class::Token, "the token request failed").await;
        let body = body.map_err(|failure| self.with_request(failure, &request))?;
        Ok((status, body, asked_at))
    }

    /// The failure, and what was sent if the defect `request-in-error` wants it.
    fn with_request(&self, failure: Failure, request: &TokenRequest<'_>) -> Failure {
        match self.behaviour.has(Defect::RequestInError) {
            true => Failure { message: format!("{} ({})", failure.message, request.shown()), ..failure },
            false => failure,
        }
    }

    fn read(
        &self,
        status: StatusCode,
        body: &[u8],
        asked_at: Instant,
        style: Style,
    ) -> Result<Token, Failure> {
        let mut granted = answer::read(status, body, self.behaviour);
        if let Err(failure) = &mut granted
            && self.behaviour.has(Defect::MuteTokenError)
        {
            failure.message = "there is no token".to_owned();
        }
        if let Err(failure) = &mut granted
            && self.behaviour.has(Defect::SecretInError)
        {
            let (secret, body) = (self.oauth.client_secret.expose(), String::from_utf8_lossy(body));
            failure.message = format!("{} (client_secret={secret}, answer: {body})", failure.message);
        }
        let mut granted = granted?;
        if self.behaviour.has(Defect::ReadsExp) || self.behaviour.has(Defect::RefusesFutureIat) {
            self.look_into(&mut granted)?;
        }
        self.redactor.learn(granted.value.expose());
        if self.behaviour.has(Defect::TokenInLog) {
            self.log.line(format!("debug: got access_token={}", granted.value.expose()));
        }
        let mut known = self.lock();
        known.style = Some(style).filter(|_| !self.behaviour.has(Defect::ForgetsStyle));
        known.refresh = granted.refresh;
        Ok(Token { value: granted.value, asked_at, lifetime: granted.lifetime })
    }

    /// What a client must not do (RFC 9068 §6): some defects read the token.
    fn look_into(&self, granted: &mut answer::Granted) -> Result<(), Failure> {
        let Some(times) = super::token::times_of(granted.value.expose()) else { return Ok(()) };
        if self.behaviour.has(Defect::RefusesFutureIat) && times.issued_in > 60.0 {
            return Err(Failure::new(Class::Token, "the token was issued in the future"));
        }
        if self.behaviour.has(Defect::ReadsExp) {
            granted.lifetime = Duration::from_secs_f64(times.expires_in.max(0.0));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The style to use, and the one to try when the issuer does not know the client by it.
fn styles(
    behaviour: Behaviour,
    advertised: Option<Style>,
    remembered: Option<Style>,
) -> (Style, Option<Style>) {
    if behaviour.has(Defect::NeverPosts) {
        return (Style::Basic, None);
    }
    if behaviour.has(Defect::NeverBasic) {
        return (Style::Post, None);
    }
    if behaviour.is(Variant::AuthStyleProbing) {
        return remembered.map_or((Style::Post, Some(Style::Basic)), |style| (style, None));
    }
    match remembered.or(advertised) {
        Some(style) => (style, None),
        None => (Style::Basic, Some(Style::Post)),
    }
}

/// The pause that `Retry-After` asks for (RFC 9110 §10.2.3), bounded.
fn pause(value: &header::HeaderValue) -> Duration {
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    seconds.map_or(PAUSE_UNTIL_A_DATE, Duration::from_secs).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_style_is_tried_only_while_nobody_has_said_which_one_works() {
        let correct = Behaviour::default();
        assert_eq!(styles(correct, None, None), (Style::Basic, Some(Style::Post)));
        assert_eq!(styles(correct, Some(Style::Post), None), (Style::Post, None));
        assert_eq!(styles(correct, None, Some(Style::Post)), (Style::Post, None));
        let probing = Behaviour::with_variant(Variant::AuthStyleProbing);
        assert_eq!(styles(probing, Some(Style::Basic), None), (Style::Post, Some(Style::Basic)));
        assert_eq!(styles(probing, None, Some(Style::Basic)), (Style::Basic, None));
        assert_eq!(
            styles(Behaviour::with_defect(Defect::NeverPosts), Some(Style::Post), None),
            (Style::Basic, None)
        );
    }

    #[test]
    fn retry_after_is_bounded_and_a_date_is_a_short_pause() {
        let of = |text| pause(&header::HeaderValue::from_static(text));
        assert_eq!(of("7"), Duration::from_secs(7));
        assert_eq!(of("86400"), LONGEST_PAUSE);
        assert_eq!(of("Wed, 21 Oct 2037 07:28:00 GMT"), PAUSE_UNTIL_A_DATE);
    }
}
