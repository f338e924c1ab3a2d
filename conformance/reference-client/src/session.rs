//! One session: a configuration, its connection, its credentials, and the operations on it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tonic::metadata::{MetadataKey, MetadataMap};
use url::Url;

use crate::attribution::User;
use crate::behaviour::{Behaviour, Defect, Variant};
use crate::client::Client;
use crate::config::{Auth, Config};
use crate::export;
use crate::failure::{Class, Failure, within};
use crate::flight::{self, Broken, Call, Connection, Operation};
use crate::http;
use crate::oauth::{SingleFlight, Token, TokenProvider, discover};
use crate::redact::{Redactor, shorten};
use crate::secret::Secret;

/// An open session. Nothing is contacted before the first operation.
pub(crate) struct Session {
    client: Arc<Client>,
    config: Config,
    connection: Arc<Connection>,
    /// Where batches are sent to, if that is no Flight SQL server.
    exporter: Option<(reqwest::Client, Url)>,
    redactor: Arc<Redactor>,
    provider: Option<Arc<TokenProvider>>,
    /// The token of the Handshake.
    login: Arc<Mutex<Option<Secret>>>,
    logins: SingleFlight<Secret>,
    /// Written by the defects `shared-field`, `stale-identity` and `first-user-stays` only.
    current_user: Mutex<Option<User>>,
    /// Set by defects with which a session fails for ever.
    poisoned: AtomicBool,
    /// What only defects keep.
    odd: Odd,
}

/// What only defects keep.
#[derive(Default)]
struct Odd {
    /// The number of the operation that disturbs the others.
    disturbed: watch::Sender<u64>,
    /// The number of the last operation.
    last: AtomicU64,
    /// How many run, and whether one of them has told its error.
    running: Mutex<(u32, bool)>,
    first_token: Mutex<Option<Token>>,
    last_token: Mutex<Option<Secret>>,
    health: Mutex<Option<Result<Vec<RecordBatch>, Failure>>>,
    failed_user: Mutex<Option<User>>,
}

/// The `authorization` values of one operation; the token among them that can be replaced.
struct Credentials {
    values: Vec<Secret>,
    renewable: Option<Token>,
}

impl Session {
    /// Checks the configuration.
    pub(crate) fn open(client: &Arc<Client>, native: Map<String, Value>) -> Result<Self, Failure> {
        let behaviour = client.behaviour;
        let config =
            Config::read(native, behaviour).map_err(|failure| match behaviour.has(Defect::SilentError) {
                true => Failure::configuration("the configuration is not valid"),
                false => failure,
            })?;
        let ca = config.ca.as_deref();
        let provider = match &config.auth {
            Auth::OAuth(oauth) => Some(client.provider(oauth, ca)?),
            Auth::None | Auth::Token(_) | Auth::Basic { .. } => None,
        };
        let redactor = provider.as_ref().map_or_else(Arc::default, |provider| provider.redactor());
        match &config.auth {
            Auth::Token(token) => redactor.learn(token.expose()),
            Auth::Basic { username, password } => redactor.learn_pair(username, password.expose()),
            Auth::None | Auth::OAuth(_) => {}
        }
        let mut connection = Connection::new(&config.target, ca, behaviour)?;
        if behaviour.has(Defect::PoolsByHost) {
            let host = config.target.host_and_port.rsplit_once(':').map_or("", |(host, _)| host);
            connection.share(Arc::clone(lock(&client.by_host).entry(host.to_owned()).or_default()));
        }
        client.attribution.store(config.attribution, Ordering::SeqCst);
        for warning in &config.warnings {
            client.log.line(warning.clone());
        }
        if let Some(provider) = provider.as_ref().filter(|_| behaviour.is(Variant::EagerDiscovery)) {
            provider.discover_early();
        }
        Ok(Self {
            client: Arc::clone(client),
            exporter: match &config.target.http {
                Some(url) => Some((http::client(ca, behaviour)?, url.clone())),
                None => None,
            },
            config,
            connection: Arc::new(connection),
            redactor,
            provider,
            login: Arc::default(),
            logins: SingleFlight::new(behaviour),
            current_user: Mutex::new(None),
            poisoned: AtomicBool::new(false),
            odd: Odd::default(),
        })
    }

    /// Runs the operation, for as long as the caller waits. An error's text is fit to be shown.
    pub(crate) async fn run(
        &self,
        operation: &Operation,
        user: Option<User>,
        deadline: Option<Duration>,
    ) -> Result<Vec<RecordBatch>, Failure> {
        let behaviour = self.behaviour();
        if matches!(operation, Operation::Health) {
            if behaviour.has(Defect::HealthLies) {
                return Ok(Vec::new());
            }
            if let Some(answer) = lock(&self.odd.health).clone() {
                return answer;
            }
        }
        let result = self.told(operation, user, deadline).await;
        if behaviour.has(Defect::HealthIsCached) && matches!(operation, Operation::Health) {
            *lock(&self.odd.health) = Some(result.clone());
        }
        result
    }

    async fn told(
        &self,
        operation: &Operation,
        user: Option<User>,
        deadline: Option<Duration>,
    ) -> Result<Vec<RecordBatch>, Failure> {
        let behaviour = self.behaviour();
        let user = self.named(operation, user);
        if self.poisoned.load(Ordering::SeqCst) {
            return Err(Failure::new(Class::Timeout, "an earlier operation has failed"));
        }
        if self.fails_unasked() {
            return Err(Failure::new(Class::Protocol, "the operation was not tried"));
        }
        let deadline = deadline.filter(|_| !behaviour.has(Defect::IgnoresDeadline));
        let limit = behaviour.call_limit().into_iter().chain(deadline).min();
        lock(&self.odd.running).0 += 1;
        let own = self.odd.last.fetch_add(1, Ordering::SeqCst) + 1;
        let asking = user.clone();
        let work = self.undisturbed(own, self.attempts(own, operation, user));
        let result = within(limit, "the call", work).await;
        if self.is_told_already(result.is_err()) {
            return Ok(Vec::new());
        }
        if result.is_err() && behaviour.has(Defect::IdentityOfTheFailed) {
            *lock(&self.odd.failed_user) = asking;
        }
        if result.is_err() && self.behaviour().has(Defect::SwallowsErrors) {
            return Ok(Vec::new());
        }
        result.map_err(|failure| {
            let poisons = match behaviour.defect {
                Some(Defect::PoisonedAfterFailure) => failure.class == Class::Timeout,
                Some(Defect::BrokenForEver) => true,
                Some(Defect::NeverReconnects) => failure.broke_off,
                _ => false,
            };
            if poisons {
                self.poisoned.store(true, Ordering::SeqCst);
            }
            if behaviour.has(Defect::OneErrorFailsAll) {
                self.odd.disturbed.send_replace(own);
            }
            self.client.log.line(format!("error: {}", self.redactor.present(&failure.message)));
            self.presentable(failure)
        })
    }

    /// Whether a defect fails the operation that begins.
    fn fails_unasked(&self) -> bool {
        let first = || self.client.operations.fetch_add(1, Ordering::SeqCst) == 0;
        match self.behaviour().defect {
            Some(Defect::FirstFails) => first(),
            Some(Defect::WorksOnce) => !first(),
            _ => false,
        }
    }

    /// For whom an operation is, as some defects see it; the correct client changes nothing.
    fn named(&self, operation: &Operation, user: Option<User>) -> Option<User> {
        let behaviour = self.behaviour();
        if let Some(user) = user.as_ref().filter(|_| behaviour.has(Defect::LogsUser)) {
            self.client.log.line(format!("debug: query of {}", user.id()));
        }
        let is_query = matches!(operation, Operation::Query { .. });
        match (behaviour.defect, user) {
            (Some(Defect::UserOnQueriesOnly), user) => user.filter(|_| is_query),
            (Some(Defect::IdentityOfTheFailed), None) => lock(&self.odd.failed_user).clone(),
            (Some(Defect::FirstUserStays), Some(user)) => {
                Some(lock(&self.current_user).get_or_insert(user).clone())
            }
            (Some(Defect::UserOfTheProcess), None) => lock(&self.client.last_user).clone(),
            (Some(Defect::UserOfTheProcess), user) => {
                lock(&self.client.last_user).clone_from(&user);
                user
            }
            (_, user) => user,
        }
    }

    /// The work, unless a defect lets another operation disturb it.
    async fn undisturbed(
        &self,
        own: u64,
        work: impl Future<Output = Result<Vec<RecordBatch>, Failure>>,
    ) -> Result<Vec<RecordBatch>, Failure> {
        let mut disturbed = self.odd.disturbed.subscribe();
        let by_another = async {
            while disturbed.changed().await.is_ok() {
                if *disturbed.borrow_and_update() != own {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            result = work => result,
            () = by_another => Err(Failure::new(Class::Protocol, "the connection was closed")),
        }
    }

    /// An operation has ended: whether the defect `first-error-only` keeps its error to itself.
    fn is_told_already(&self, failed: bool) -> bool {
        let mut running = lock(&self.odd.running);
        running.0 -= 1;
        let told = running.1;
        running.1 = running.0 > 0 && (told || failed);
        told && failed && self.behaviour().has(Defect::FirstErrorOnly)
    }

    fn presentable(&self, failure: Failure) -> Failure {
        if self.behaviour().has(Defect::FlattensErrors) {
            return Failure::new(Class::Protocol, "the call failed");
        }
        let leaks = matches!(
            self.behaviour().defect,
            Some(
                Defect::PassesEcho
                    | Defect::SecretInError
                    | Defect::CredentialInError
                    | Defect::RequestInError
            )
        );
        let message = if leaks { shorten(&failure.message) } else { self.redactor.present(&failure.message) };
        Failure { message, ..failure }
    }

    /// A refused OAuth token is replaced and the operation repeated, once, unless batches have been delivered.
    async fn attempts(
        &self,
        own: u64,
        operation: &Operation,
        mut user: Option<User>,
    ) -> Result<Vec<RecordBatch>, Failure> {
        let behaviour = self.behaviour();
        let _whole = match behaviour.has(Defect::GlobalLock) {
            true => Some(self.client.whole.lock().await),
            false => None,
        };
        let _eight = match behaviour.has(Defect::EightAtATime) {
            true => self.client.eight.acquire().await.ok(),
            false => None,
        };
        self.enter(user.as_ref()).await;
        self.probe(operation, user.as_ref()).await;
        if behaviour.has(Defect::ConnectsFirst) {
            self.connection.open_another().await;
        }
        let mut repeated = 0;
        let mut retries = match behaviour.defect {
            Some(
                Defect::IgnoresRevocation
                | Defect::NeverRenews
                | Defect::RepeatsRefused
                | Defect::RenewsInVain,
            ) => 0,
            Some(Defect::Retries401ForEver) => 30,
            _ => 1,
        };
        loop {
            let mut credentials = self.credentials(operation).await?;
            self.change_oddly(&mut credentials, own, operation);
            let headers = |call| self.headers(&credentials, user.as_ref(), call);
            let (connection, target) = (&self.connection, &self.config.target);
            let result = match (&self.exporter, operation) {
                (Some(_), Operation::Export { .. }) if self.drops_batch(&credentials) => {
                    return Ok(Vec::new());
                }
                (Some((client, url)), Operation::Export { batch }) => {
                    let headers = headers(Call::GetFlightInfo)?.into_headers();
                    let sent = export::send(client, url, headers, batch, behaviour).await;
                    sent.map(|()| Vec::new()).map_err(Broken::from)
                }
                (Some(_), _) => Err(Failure::configuration("`uri` is no Flight SQL server").into()),
                (None, _) => {
                    flight::run(connection, target, operation, &headers, behaviour, &self.client.log).await
                }
            };
            let Broken { mut failure, delivered } = match result {
                Ok(batches) => return Ok(batches),
                Err(broken) => broken,
            };
            if behaviour.has(Defect::CredentialInError)
                && let Some(value) = credentials.values.first()
            {
                failure.message = format!("{} (authorization: {})", failure.message, value.expose());
            }
            match (&self.provider, &credentials.renewable) {
                (Some(provider), Some(token))
                    if failure.is_unauthenticated() && !delivered && retries > 0 =>
                {
                    retries -= 1;
                    provider.reject(token);
                    user = user.filter(|_| !behaviour.has(Defect::RetryForNobody));
                }
                (Some(provider), Some(token))
                    if behaviour.has(Defect::RenewsInVain) && failure.is_unauthenticated() =>
                {
                    let mut token = token.clone();
                    for _ in 0..5 {
                        provider.reject(&token);
                        token = provider.token().await?;
                    }
                    return Err(failure);
                }
                _ if self.repeats(&failure) && repeated < 10 => repeated += 1,
                _ => return Err(failure),
            }
        }
    }

    /// Whether a defect repeats a call that failed like this, as it was.
    fn repeats(&self, failure: &Failure) -> bool {
        match self.behaviour().defect {
            Some(Defect::RepeatsForbidden) => failure.is_forbidden(),
            Some(Defect::RepeatsRefused) => failure.is_unauthenticated(),
            _ => false,
        }
    }

    /// The call that some defects make before the call; whatever comes of it, it is not used.
    async fn probe(&self, operation: &Operation, user: Option<&User>) {
        let behaviour = self.behaviour();
        let values = match (behaviour.defect, &self.config.auth) {
            (Some(Defect::ProbesBare), _) => Vec::new(),
            (Some(Defect::EmptyBearerFirst), Auth::None) => vec![Secret::new("Bearer ")],
            _ => return,
        };
        if self.exporter.is_none() {
            let credentials = Credentials { values, renewable: None };
            let headers = |call| self.headers(&credentials, user, call);
            let (connection, target) = (&self.connection, &self.config.target);
            let _ = flight::run(connection, target, operation, &headers, behaviour, &self.client.log).await;
        }
    }

    /// Whether a defect loses the batch that these credentials are for.
    fn drops_batch(&self, credentials: &Credentials) -> bool {
        if self.behaviour().has(Defect::SilentlyOff) && matches!(self.config.auth, Auth::None) {
            return true;
        }
        let token =
            credentials.renewable.as_ref().filter(|_| self.behaviour().has(Defect::DropsBatchAtRenewal));
        token.is_some_and(|token| {
            let last = lock(&self.odd.last_token).replace(token.value.clone());
            last.is_some_and(|last| last != token.value)
        })
    }

    /// What some defects make of credentials; the correct client leaves them alone.
    fn change_oddly(&self, credentials: &mut Credentials, own: u64, operation: &Operation) {
        let is_query = matches!(operation, Operation::Query { .. });
        match (self.behaviour().defect, &credentials.renewable) {
            (Some(Defect::BareMetadata), _) if !is_query => credentials.values.clear(),
            (Some(Defect::BearerOnFirstBatch), Some(token))
                if matches!(operation, Operation::Export { .. })
                    && lock(&self.odd.first_token).replace(token.clone()).is_some() =>
            {
                credentials.values.clear();
            }
            (Some(Defect::MetadataKeepsToken), Some(token)) => {
                let first = lock(&self.odd.first_token).get_or_insert_with(|| token.clone()).clone();
                if operation.is_metadata() {
                    credentials.values = vec![bearer(&first.value)];
                }
            }
            (Some(Defect::RenewalDropsConnection), Some(token)) => {
                let last = lock(&self.odd.last_token).replace(token.value.clone());
                if last.is_some_and(|last| last != token.value) {
                    self.odd.disturbed.send_replace(own);
                }
            }
            _ => {}
        }
    }

    /// What some defects do before an operation; the correct client does nothing.
    async fn enter(&self, user: Option<&User>) {
        let behaviour = self.behaviour();
        if behaviour.has(Defect::StaleIdentity) && user.is_some() {
            *lock(&self.current_user) = user.cloned();
        }
        if behaviour.has(Defect::SharedField) {
            *lock(&self.current_user) = user.cloned();
            // Long enough for the next request to overwrite the field.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if behaviour.has(Defect::ContactsIssuerAlways)
            && let Some(issuer) = &self.config.issuer
            && let Ok(http) = http::client(self.config.ca.as_deref(), behaviour)
        {
            // Whatever comes back, it is not used.
            let _ = discover(&http, issuer, behaviour, None).await;
        }
    }

    async fn credentials(&self, operation: &Operation) -> Result<Credentials, Failure> {
        let values = match &self.config.auth {
            Auth::None if self.behaviour().has(Defect::EmptyBearer) => vec![Secret::new("Bearer ")],
            Auth::None => Vec::new(),
            Auth::Token(token) => vec![bearer(token)],
            Auth::Basic { username, password } => match self.logged_in(username, password).await {
                Err(_) if self.behaviour().has(Defect::AnonymousAfterHandshake) => Vec::new(),
                result => vec![result?],
            },
            Auth::OAuth(_) => return self.oauth_credentials(operation).await,
        };
        Ok(Credentials { values, renewable: None })
    }

    async fn oauth_credentials(&self, operation: &Operation) -> Result<Credentials, Failure> {
        let behaviour = self.behaviour();
        let provider = self.provider.as_ref().expect("a session with OAuth has a provider");
        if behaviour.has(Defect::TokenPerMetadataCall) && operation.is_metadata() {
            provider.forget();
        }
        let _whole = match behaviour.has(Defect::StallHoldsLock) {
            true => Some(self.client.whole.lock().await),
            false => None,
        };
        let token = match provider.token().await {
            Err(_) if behaviour.has(Defect::AnonymousAfterTokenFailure) => {
                return Ok(Credentials { values: Vec::new(), renewable: None });
            }
            result => result?,
        };
        let mut values = vec![bearer(&token.value)];
        if behaviour.has(Defect::AcceptsErrorBody) && token.value.expose().is_empty() {
            values.clear();
        }
        values.extend(self.config.second.clone());
        Ok(Credentials { values, renewable: Some(token) })
    }

    /// The value from the Handshake, which concurrent first calls share.
    async fn logged_in(&self, username: &str, password: &Secret) -> Result<Secret, Failure> {
        let behaviour = self.behaviour();
        let basic = flight::basic_value(username, password, behaviour);
        let known = lock(&self.login).clone();
        let token = match known.filter(|_| !behaviour.has(Defect::HandshakeEveryQuery)) {
            Some(token) => token,
            None => {
                let (connection, login) = (Arc::clone(&self.connection), Arc::clone(&self.login));
                let (redactor, custom) = (Arc::clone(&self.redactor), self.custom_headers());
                let authorization = basic.clone();
                let handshake = async move {
                    let mut repeats = if behaviour.has(Defect::LoginStorm) { 20 } else { 0 };
                    let token = loop {
                        let (value, custom) = (authorization.clone(), custom.clone());
                        match flight::log_in(&connection, value, custom, behaviour).await {
                            Err(_) if repeats > 0 => repeats -= 1,
                            result => break result?,
                        }
                    };
                    redactor.learn(token.expose());
                    *lock(&login) = Some(token.clone());
                    Ok(token)
                };
                self.logins.run(|| handshake).await?
            }
        };
        Ok(if behaviour.has(Defect::BasicOnEveryCall) { basic } else { bearer(&token) })
    }

    fn headers(
        &self,
        credentials: &Credentials,
        user: Option<&User>,
        call: Call,
    ) -> Result<MetadataMap, Failure> {
        let behaviour = self.behaviour();
        let mut metadata = match behaviour.has(Defect::CustomAppended) {
            true => MetadataMap::new(),
            false => self.custom_headers(),
        };
        let dropped = match call {
            Call::GetFlightInfo => behaviour.has(Defect::LateCustomHeaders),
            Call::Other => behaviour.has(Defect::DropsCustomHeaders),
        };
        if dropped {
            metadata.clear();
        }
        let bare = behaviour.has(Defect::CredentialOnce) && call == Call::Other;
        for value in credentials.values.iter().filter(|_| !bare) {
            metadata.append("authorization", flight::authorization_value(value)?);
        }
        let remembers =
            behaviour.has(Defect::SharedField) || (behaviour.has(Defect::StaleIdentity) && user.is_none());
        let shared = remembers.then(|| lock(&self.current_user).clone()).flatten();
        let switch = match behaviour.defect {
            Some(Defect::SwitchOfTheProcess) => self.client.attribution.load(Ordering::SeqCst),
            Some(Defect::AttributionWithOauthOnly) => self.provider.is_some() && self.config.attribution,
            _ => self.config.attribution,
        };
        let wanted = switch || behaviour.has(Defect::SentAlthoughOff);
        let left_out = behaviour.has(Defect::MissingAttribution)
            || behaviour.has(Defect::FirstCallOnly) && call == Call::Other
            || behaviour.has(Defect::LaterCallsOnly) && call == Call::GetFlightInfo;
        if let Some(user) = shared.as_ref().or(user).filter(|_| wanted && !left_out) {
            user.write(&mut metadata, behaviour);
        }
        for (name, value) in &self.config.headers {
            match behaviour.defect {
                Some(Defect::CustomOverrides) => drop(metadata.insert(name.clone(), value.clone())),
                Some(Defect::CustomAppended) => drop(metadata.append(name.clone(), value.clone())),
                _ => {}
            }
        }
        let forwarded = user.filter(|_| {
            matches!(behaviour.defect, Some(Defect::ForwardsCookies | Defect::ForwardsUserToken))
        });
        for (name, value) in forwarded.into_iter().flat_map(|user| &user.headers) {
            let name = name.to_lowercase();
            if (name == "authorization") == behaviour.has(Defect::ForwardsUserToken)
                && let (Ok(name), Ok(value)) = (MetadataKey::from_bytes(name.as_bytes()), value.parse())
            {
                metadata.insert(name, value);
            }
        }
        Ok(metadata)
    }

    fn custom_headers(&self) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for (name, value) in &self.config.headers {
            metadata.append(name.clone(), value.clone());
        }
        metadata
    }

    fn behaviour(&self) -> Behaviour {
        self.client.behaviour
    }
}

fn bearer(token: &Secret) -> Secret {
    Secret::new(format!("Bearer {}", token.expose()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
