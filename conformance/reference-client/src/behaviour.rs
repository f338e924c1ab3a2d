//! How the client behaves: correctly, with one defect, or in one of the benign variants.

use std::time::Duration;

use crate::named::named;

/// What is different from the plain, correct client. The default is: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// A way in which the client misbehaves on purpose.
    pub defect: Option<Defect>,
    /// A way in which the client is unusual, yet correct.
    pub variant: Option<Variant>,
}

impl Behaviour {
    /// Correct, except for this defect.
    pub fn with_defect(defect: Defect) -> Self {
        Self { defect: Some(defect), variant: None }
    }

    /// Correct, in this variant.
    pub fn with_variant(variant: Variant) -> Self {
        Self { defect: None, variant: Some(variant) }
    }

    /// Whether the client has this defect.
    pub fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// Whether the client is this variant.
    pub fn is(&self, variant: Variant) -> bool {
        self.variant == Some(variant)
    }

    /// The bound of one exchange with an issuer; none means that it waits for ever.
    pub(crate) fn issuer_limit(&self) -> Option<Duration> {
        if self.has(Defect::NoTimeout) || self.has(Defect::EndlessAnswers) {
            return None;
        }
        Some(match self.defect {
            Some(Defect::SlowTimeout) => Duration::from_secs(20),
            Some(Defect::Impatient) => IMPATIENT,
            Some(Defect::HastyWithIssuer) => Duration::from_secs(1),
            _ => Duration::from_secs(10),
        })
    }

    /// The bound of a whole call, token and retry included.
    pub(crate) fn call_limit(&self) -> Option<Duration> {
        if self.has(Defect::NoTimeout) || self.has(Defect::EndlessAnswers) {
            return None;
        }
        Some(if self.has(Defect::Impatient) { IMPATIENT } else { Duration::from_secs(30) })
    }

    /// How long before its end a token of this lifetime is renewed.
    pub(crate) fn skew(&self, lifetime: Duration) -> Duration {
        let half = lifetime / 2;
        match (self.defect, self.variant) {
            (Some(Defect::NoSkew), _) => Duration::ZERO,
            (Some(Defect::ThinSkew), _) => Duration::from_millis(200),
            (Some(Defect::LoopsBelowSkew), _) => Duration::from_secs(5),
            (Some(Defect::LongSkew), _) => Duration::from_secs(300),
            (_, Some(Variant::Skew2s)) => half.min(Duration::from_secs(2)),
            (_, Some(Variant::Skew60s)) => half.min(Duration::from_secs(60)),
            _ => half.min(Duration::from_secs(5)),
        }
    }
}

/// How long the defect `impatient` waits: more than a busy machine takes for a healthy call.
const IMPATIENT: Duration = Duration::from_secs(4);

named! {
    /// A way in which the reference client misbehaves on purpose, to prove that a check can fail.
    "defect" Defect {
        Null = "null": "answers every operation with an error and does nothing",
        Liar = "liar": "answers ok with one row to everything and does nothing",
        Silent = "silent": "reads requests and never answers",
        Crash = "crash": "aborts on the first call that needs the server",
        EarlyExit = "early-exit": "exits with status 0 on the first call that needs the server, without an answer",
        Segv = "segv": "dies of SIGSEGV on the first call that needs the server",
        DuplicateReply = "duplicate-reply": "answers every request twice",
        UnknownId = "unknown-id": "adds a reply with an id that nobody asked for",
        Noise = "noise": "writes lines to stdout that are not JSON",
        Orphan = "orphan": "leaves a child process behind",
        Lingers = "lingers": "does not exit when its input ends",
        NonzeroExit = "nonzero-exit": "answers everything, then exits with status 1",
        FirstFails = "first-fails": "fails the first operation of its process, and asks nobody for it",
        WorksOnce = "works-once": "fails every operation of its process but the first, and asks nobody for them",
        NeverReads = "never-reads": "plans a query and does not fetch its result",
        EightAtATime = "eight-at-a-time": "makes at most eight calls at a time in the whole process",

        NoCache = "no-cache": "fetches a token for every query",
        Stampede = "stampede": "concurrent queries without a token fetch one each",
        SharedTooBroadly = "shared-too-broadly": "one token for all sessions of the process, whatever their configuration",
        CachesFailures = "caches-failures": "remembers a failed token fetch for ever",
        KeyedByClientId = "keyed-by-client-id": "keeps one token for each client id as long as the process lives, whatever else differs",
        PersistsToken = "persists-token": "writes its token to a file and takes it from there after a restart",
        RenewsInBackground = "renews-in-background": "renews its token although nobody asks anything",
        TokenPerMetadataCall = "token-per-metadata-call": "fetches a token of its own for each metadata call",
        LongSkew = "long-skew": "renews a token five minutes before it expires, however short it lives",

        NeverRenews = "never-renews": "uses the first token for ever, refused or not",
        NoSkew = "no-skew": "renews a token only after it has expired",
        ThinSkew = "thin-skew": "renews a token 200 ms before it expires",
        LoopsBelowSkew = "loops-below-skew": "fetches a token for every query when its lifetime is below 5 s",
        IgnoresRevocation = "ignores-revocation": "takes UNAUTHENTICATED as final and keeps the refused token",
        RepeatsRefused = "repeats-refused": "repeats a call that was answered UNAUTHENTICATED ten times with the same token",
        RenewsInVain = "renews-in-vain": "fetches five tokens when a call was answered UNAUTHENTICATED, and does not repeat it",
        Retries401ForEver = "retries-401-for-ever": "answers UNAUTHENTICATED with up to 30 new tokens",
        StringExpiresFails = "string-expires-fails": "refuses a lifetime that is a string",
        ZeroExpiresIsForever = "zero-expires-is-forever": "takes a lifetime of zero as endless",

        RenewalDropsConnection = "renewal-drops-connection": "closes the connection with all that runs on it when a token is renewed",
        RenewsOnce = "renews-once": "renews a token once, and never again",
        ReadsExp = "reads-exp": "takes a token's life from its `exp` and the own clock, whatever `expires_in` says",
        RefusesFutureIat = "refuses-future-iat": "refuses a token that was issued in the future",
        MetadataKeepsToken = "metadata-keeps-token": "uses the session's first token for metadata calls for ever",
        DropsTokenOnFailure = "drops-token-on-failure": "fails when a renewal fails, although the old token still lives",

        ZeroExpiresLoops = "zero-expires-loops": "asks ten times in a row when a token's lifetime is zero",
        FractionExpiresFails = "fraction-expires-fails": "refuses a lifetime that is not a whole number",
        HugeExpiresFails = "huge-expires-fails": "refuses a lifetime that does not fit in 32 bits",
        HugeExpiresWraps = "huge-expires-wraps": "takes a lifetime that does not fit in 32 bits as one that is over",
        TrustsJwtExpiry = "trusts-jwt-expiry": "reads a token's lifetime from the token, whatever the answer says",
        UsesRefreshToken = "uses-refresh-token": "renews with a refresh token that came although nobody asked for one",

        NoTimeout = "no-timeout": "waits for issuer and server for ever",
        SlowTimeout = "slow-timeout": "waits 20 s for an issuer",
        StallHoldsLock = "stall-holds-lock": "holds one lock for the whole process while it fetches a token",
        PoisonedAfterFailure = "poisoned-after-failure": "after one timeout the session fails for ever",
        RetryStorm = "retry-storm": "repeats a failing token request 20 times at once",
        IgnoresRetryAfter = "ignores-retry-after": "asks again before the time that Retry-After names",

        Impatient = "impatient": "gives up on issuer and server after 4 s",
        IgnoresDeadline = "ignores-deadline": "takes no notice of the caller's deadline",
        JoinsAbandoned = "joins-abandoned": "waits for a token request that all who wanted it have given up",
        GlobalLock = "global-lock": "makes one call at a time in the whole process",
        WaitsAtExit = "waits-at-exit": "ends only when the last call has ended",
        StaleKeepAlive = "stale-keep-alive": "fails its second exchange with an issuer, as on a kept connection that has died",
        NeverReconnects = "never-reconnects": "once a call broke off without a code, the session fails for ever",

        DegradesToAnonymous = "degrades-to-anonymous": "takes an incomplete configuration as no authentication",
        AnonymousAfterTokenFailure = "anonymous-after-token-failure": "sends the query without credentials when no token can be had",
        ChecksLate = "checks-late": "finds a blank option only after it has asked the issuer for its document",
        KnowsIssuerAlready = "knows-issuer-already": "takes a blank option as set, and reads each issuer's document once in a process",
        SilentError = "silent-error": "refuses a wrong or incomplete configuration without naming a setting",
        IgnoresBlank = "ignores-blank": "takes a blank option as set",
        TwoCredentials = "two-credentials": "sends two authorization values when a second method is configured beside OAuth",
        LeftoverBreaks = "leftover-breaks": "a leftover OAuth secret breaks a static token",
        LeftoverIsUsed = "leftover-is-used": "uses what is left over of a method although none is chosen",
        AudienceMeansOauth = "audience-means-oauth": "takes an audience alone as an incomplete OAuth configuration",
        AmbiguousIsAnonymous = "ambiguous-is-anonymous": "takes two methods, none of them chosen, as no authentication",
        IgnoresTheChoice = "ignores-the-choice": "takes the first complete method, whichever is chosen",
        UnknownMethodIsNone = "unknown-method-is-none": "takes a method that it does not know as no authentication",
        WrongTypesIgnored = "wrong-types-ignored": "takes an option of another type as not set",
        KeepsWhiteSpace = "keeps-white-space": "takes white space around a value as part of it",
        WrapsPort = "wraps-port": "reads a port modulo 65536",
        NoWarnings = "no-warnings": "does not say that credentials will cross a connection without TLS",
        CustomOverrides = "custom-overrides": "lets a custom header replace one of its own",
        CustomAppended = "custom-appended": "sends a custom header beside one of its own",
        DropsCustomHeaders = "drops-custom-headers": "sends custom headers on the first call of a query only",
        LateCustomHeaders = "late-custom-headers": "sends custom headers from the second call of a query on",
        DuplicateHeaders = "duplicate-headers": "sends a custom header twice that is named twice",
        FirstConfigurationStays = "first-configuration-stays": "a session that is opened again keeps its first configuration",
        SecretFromClear = "secret-from-clear": "takes a secret from where every viewer can read it",
        StrictSettings = "strict-settings": "refuses saved settings that hold what its own editor does not write",
        OldFieldUnknown = "old-field-unknown": "does not know the older name of a query's text",
        OldFieldWins = "old-field-wins": "prefers the older name of a query's text",

        SharedField = "shared-field": "keeps the user in a field of the session, so that concurrent users bleed",
        StaleIdentity = "stale-identity": "a query for nobody carries the user of the query before it",
        MissingAttribution = "missing-attribution": "never sends the user",
        FirstCallOnly = "first-call-only": "sends the user on the first call of a query only",
        LaterCallsOnly = "later-calls-only": "sends the user from the second call of a query on",
        Appended = "appended": "sends the user id twice",
        NotEncoded = "not-encoded": "leaves out a user header that is not ASCII",
        SentAlthoughOff = "sent-although-off": "sends the user although attribution is switched off",

        IdOnly = "id-only": "sends the user's id, and nothing else of the user",
        AttributionWithOauthOnly = "attribution-with-oauth-only": "sends the user only where OAuth is configured",
        UserOnQueriesOnly = "user-on-queries-only": "sends no user on metadata calls and health checks",
        IdentityOfTheFailed = "identity-of-the-failed": "a query for nobody carries the user of a query that failed",
        RetryForNobody = "retry-for-nobody": "repeats a refused query without its user",
        FirstUserStays = "first-user-stays": "names the first user of a session for everybody after",
        UserOfTheProcess = "user-of-the-process": "a query for nobody carries the last user of any session",
        SwitchOfTheProcess = "switch-of-the-process": "the attribution switch of the session opened last is everybody's",
        SplitsLines = "splits-lines": "a line break in a user's id begins another header",
        RawPercent = "raw-percent": "leaves a percent sign in a user's id as it is",
        ForwardsCookies = "forwards-cookies": "passes the cookie and the ID token of the user's own request on to the server",
        ForwardsUserToken = "forwards-user-token": "sends the token of the user's own login in place of its own",
        ShowsServerHeaders = "shows-server-headers": "shows the headers of the server's answers in its log and in errors",
        LogsUser = "logs-user": "writes the user to its log, although attribution is switched off",

        TrustsAnyCertificate = "trusts-any-certificate": "looks at no certificate",
        FallsBackToPlaintext = "falls-back-to-plaintext": "goes on without TLS where it cannot be agreed on",
        Tls13Only = "tls13-only": "speaks TLS 1.3 only",
        Tls12Only = "tls12-only": "speaks TLS 1.2 only",
        FollowsLocations = "follows-locations": "fetches a result wherever the server says that it is, and takes the token along",
        RefusesLocations = "refuses-locations": "takes every location of a result as another server",
        PoolsByHost = "pools-by-host": "sessions share the connection to a host, whatever the port",

        DoubleSlash = "double-slash": "keeps the issuer's trailing slash before the well-known path",
        DropsIssuerPath = "drops-issuer-path": "looks for the discovery document at the root of the issuer's host",
        DiscoveryEveryTime = "discovery-every-time": "asks for the discovery document before every query",
        ProbesPaths = "probes-paths": "asks for the discovery document at another path first",
        GuessesTokenEndpoint = "guesses-token-endpoint": "invents a token endpoint when the document names none",
        AcceptsForeignIssuer = "accepts-foreign-issuer": "accepts a discovery document of another issuer",
        FollowsRedirectWithSecret = "follows-redirect-with-secret": "follows a redirect of the token request and takes the credentials along",
        AcceptsDiscoveryError = "accepts-discovery-error": "uses the body of a discovery answer that is an error",
        FollowsDiscoveryRedirect = "follows-discovery-redirect": "follows a redirect of discovery and takes the other origin for the issuer",
        VagueDiscoveryError = "vague-discovery-error": "says of a failed discovery only that there is no token",
        TakesRelativeEndpoint = "takes-relative-endpoint": "takes a token endpoint without scheme or host as one of the issuer's",
        AcceptsIssuerPrefix = "accepts-issuer-prefix": "compares the published issuer by its beginning only",
        AcceptsMissingIssuer = "accepts-missing-issuer": "accepts a discovery document that names no issuer",
        StrictDocument = "strict-document": "refuses a discovery document with a member that it does not know",
        NeedsAuthMethods = "needs-auth-methods": "refuses a discovery document that lists no client authentication",
        DiscoveryStampede = "discovery-stampede": "concurrent queries without a discovery document ask for one each",
        DiscoveryEveryFetch = "discovery-every-fetch": "asks for the discovery document before every token request",
        AuthenticatesDiscovery = "authenticates-discovery": "sends the client's credentials along with the discovery request",
        InsistsOnIssuerOrigin = "insists-on-issuer-origin": "refuses a token endpoint on another origin than the issuer's",
        AcceptsPlainEndpoint = "accepts-plain-endpoint": "sends the secret without TLS if the document of an `https` issuer says so",
        EndlessPatience = "endless-patience": "reads a discovery document for as long as it goes on",
        HastyWithIssuer = "hasty-with-issuer": "gives an issuer one second to answer",
        ConnectsFirst = "connects-first": "opens another connection to the server before each query has a token, and keeps it",
        NeverDiscovers = "never-discovers": "asks for tokens at `/oauth2/token` of the issuer, and never for the document",
        AssumesTokenPath = "assumes-token-path": "asks for tokens at `/oauth2/token` of the issuer, whatever the document says",

        JsonFirst = "json-first": "sends the token request as JSON first, and as a form when that was refused",
        JsonBody = "json-body": "sends the token request as JSON",
        HeaderAndBody = "header-and-body": "sends the client's credentials in the header and in the body",
        NeverPosts = "never-posts": "knows client_secret_basic only",
        NeverBasic = "never-basic": "knows client_secret_post only",
        WrongStyleTwice = "wrong-style-twice": "tries the wrong client authentication twice before the right one",
        EmptyScope = "empty-scope": "sends an empty scope when none is configured",
        RawBasic = "raw-basic": "puts id and secret into the Basic header without form-encoding",
        DropsScope = "drops-scope": "does not send the scope",
        DropsAudience = "drops-audience": "does not send the audience",
        SecretInUrl = "secret-in-url": "puts the credentials into the token request's URL",
        AcceptsEmptyToken = "accepts-empty-token": "uses an access token that is empty",
        AcceptsErrorBody = "accepts-error-body": "takes an error with status 200 as success and goes on without a token",
        FollowsSeeOther = "follows-see-other": "follows a redirect of the token request as a GET with the credentials",
        ForgetsStyle = "forgets-style": "forgets which client authentication has worked",
        DropsEndpointQuery = "drops-endpoint-query": "asks for tokens without the query of the token endpoint's URL",
        MuteTokenError = "mute-token-error": "says of a refused token request only that there is no token",
        ErrorCodeOnly = "error-code-only": "tells of a refused token request the member `error` and no other",
        InventsScope = "invents-scope": "asks for the scope `openid` when none is configured",
        FirstScopeOnly = "first-scope-only": "sends the first of several configured scopes",
        RawForm = "raw-form": "puts parameters into the body without form-encoding",
        IgnoresStatus = "ignores-status": "uses the token of an answer whose status is an error",
        AcceptsAnyType = "accepts-any-type": "uses a token whatever its type",
        TypeCaseSensitive = "type-case-sensitive": "knows the token type in one spelling only",
        NeedsTokenType = "needs-token-type": "refuses an answer without a token type",
        StrictMembers = "strict-members": "refuses an answer with a member that it does not know",
        ParserError = "parser-error": "says of an answer that is no JSON only what the parser says",
        NeedsJsonType = "needs-json-type": "refuses an answer whose media type is not exactly application/json",
        ByteOrderMarkFails = "byte-order-mark-fails": "refuses an answer behind a byte order mark",
        FirstMemberWins = "first-member-wins": "uses the first of two access tokens in an answer",
        EndlessAnswers = "endless-answers": "reads an answer without a bound of size or time",
        StripsUnprintable = "strips-unprintable": "takes away what cannot stand in a header from a token, and uses the rest",
        NeedsJwt = "needs-jwt": "refuses an access token that is no JWT",
        CutsLongToken = "cuts-long-token": "cuts an access token after 4,000 characters",

        SecretInError = "secret-in-error": "shows the secret and the issuer's answer in the error text",
        SecretInLog = "secret-in-log": "writes the client secret to its log",
        TokenInLog = "token-in-log": "writes the access token to its log",
        PassesEcho = "passes-echo": "passes on what the issuer echoes, secrets included",
        CredentialInError = "credential-in-error": "shows the authorization value in the error text of a call that failed",
        RequestInError = "request-in-error": "shows the token request in the error text when its answer breaks off",

        SwallowsErrors = "swallows-errors": "reports a query that failed as one without rows",
        PartialSuccess = "partial-success": "reports a stream that broke as success",
        HealthLies = "health-lies": "says that it is healthy without asking anybody",
        HealthIsCached = "health-is-cached": "repeats the answer of the first health check for ever",
        BareMetadata = "bare-metadata": "sends no credentials with health checks and metadata calls",
        FirstErrorOnly = "first-error-only": "of calls that fail at once only the first gets its error, the others no rows",
        ErrorSpoilsRequest = "error-spoils-request": "a query that fails fails all queries of its request",
        SwapsAnswers = "swaps-answers": "gives the answers to the queries of a request to one another",
        UserOnFirstQuery = "user-on-first-query": "of the queries of a request names the user on the first only",
        OneErrorFailsAll = "one-error-fails-all": "a call that fails ends those that run beside it",
        FlattensErrors = "flattens-errors": "says of every error only that the call failed",
        RepeatsForbidden = "repeats-forbidden": "repeats a call that is not allowed ten times",
        BrokenForEver = "broken-for-ever": "once a call has failed, the session fails for ever",
        HammersEndpoint = "hammers-endpoint": "repeats a batch ten times at once that an HTTP endpoint does not take now",
        DropsBatchAtRenewal = "drops-batch-at-renewal": "loses the batch that a new token is for, and says that it was sent",
        SilentlyOff = "silently-off": "takes batches while its credentials are incomplete, sends none, and says nothing",
        BearerOnFirstBatch = "bearer-on-first-batch": "sends the token with the first batch only",
        HandshakeEveryQuery = "handshake-every-query": "logs in anew for every query",
        BasicOnEveryCall = "basic-on-every-call": "sends the password on every call instead of the handshake's token",
        IgnoresTrailerToken = "ignores-trailer-token": "looks for the handshake's token in the header only",
        IgnoresPayloadToken = "ignores-payload-token": "does not look for the handshake's token in the payload",
        AnonymousAfterHandshake = "anonymous-after-handshake": "goes on without credentials when the handshake gives no token",
        LoginStorm = "login-storm": "repeats a refused handshake 20 times at once",
        PasswordCutAtColon = "password-cut-at-colon": "takes a password to end at its first colon",
        CredentialOnce = "credential-once": "sends the credential on the first call of a query only",
        ProbesBare = "probes-bare": "makes each call without credentials first, whatever comes of it",
        EmptyBearerFirst = "empty-bearer-first": "where no authentication is configured, makes each call with an empty bearer token first",
        EmptyBearer = "empty-bearer": "sends an empty bearer token when no authentication is configured",
        ContactsIssuerAlways = "contacts-issuer-always": "contacts a configured issuer although another method is chosen",
    }
}

named! {
    /// A way in which the reference client is unusual, yet correct: it must pass everything.
    "variant" Variant {
        AuthStyleProbing = "auth-style-probing": "tries client_secret_post first, then Basic, and remembers what worked",
        PreparedStatements = "prepared-statements": "runs every query as a prepared statement",
        EagerDiscovery = "eager-discovery": "starts discovery in the background when a session is opened",
        EagerConnect = "eager-connect": "connects in the background when a session is opened",
        Skew2s = "skew-2s": "renews a token 2 s before it expires",
        Skew60s = "skew-60s": "renews a token 60 s before it expires",
        UnpaddedBasic = "unpadded-basic": "sends username and password in base64 without padding",
        ConnectionPerCall = "connection-per-call": "opens a connection for every call",
    }
}
