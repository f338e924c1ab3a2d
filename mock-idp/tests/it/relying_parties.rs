//! Relying parties that we did not write: the `openidconnect` and `oauth2` crates, for every grant that they know.

use std::time::Duration;

use mock_idp::{Alg, Config};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreClientRegistrationRequest,
    CoreDeviceAuthorizationResponse, CoreProviderMetadata, CoreResponseType,
};
use openidconnect::registration::EmptyAdditionalClientMetadata;
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClientId, ClientName, ClientSecret, CsrfToken,
    DeviceAuthorizationUrl, IntrospectionUrl, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    RedirectUrl, RefreshToken, ResourceOwnerPassword, ResourceOwnerUsername, RevocationUrl, Scope,
    TokenIntrospectionResponse, TokenResponse, UserInfoClaims,
};

use crate::rig::{Rig, automatic};

/// The HTTP client that the crates are handed.
#[derive(Clone)]
struct Http(reqwest::Client);

impl<'c> openidconnect::AsyncHttpClient<'c> for Http {
    type Error = openidconnect::HttpClientError<reqwest::Error>;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<openidconnect::HttpResponse, Self::Error>> + Send + 'c>>;

    fn call(&'c self, request: openidconnect::HttpRequest) -> Self::Future {
        Box::pin(async move {
            let failed = |e: reqwest::Error| openidconnect::HttpClientError::Reqwest(Box::new(e));
            let (parts, body) = request.into_parts();
            let sent = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
            let answer = sent.send().await.map_err(failed)?;
            let mut response = openidconnect::http::Response::builder().status(answer.status());
            for (name, value) in answer.headers() {
                response = response.header(name, value);
            }
            let body = answer.bytes().await.map_err(failed)?.to_vec();
            response.body(body).map_err(openidconnect::HttpClientError::Http)
        })
    }
}

async fn metadata(rig: &Rig, issuer: &str) -> CoreProviderMetadata {
    CoreProviderMetadata::discover_async(IssuerUrl::new(issuer.to_owned()).unwrap(), &Http(rig.http.clone()))
        .await
        .unwrap()
}

/// A whole login: discovery, PKCE, code, ID token, userinfo, refresh, introspection, revocation.
async fn login(rig: &Rig, issuer: &str, auth: AuthType) {
    let http = Http(rig.http.clone());
    let metadata = metadata(rig, issuer).await;
    let userinfo_works = metadata.userinfo_endpoint().is_some();
    let client = CoreClient::from_provider_metadata(
        metadata,
        ClientId::new("rp".into()),
        Some(ClientSecret::new("s e:c%ret".into())),
    )
    .set_redirect_uri(RedirectUrl::new("http://localhost/cb".into()).unwrap())
    .set_auth_type(auth);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(["profile", "email", "offline_access"].map(|s| Scope::new(s.into())))
        .set_pkce_challenge(challenge)
        .url();
    let back = rig.get(url.as_str()).await.location();
    assert_eq!(back.get("state"), Some(state.secret()), "{back:?}");
    let tokens = client
        .exchange_code(AuthorizationCode::new(back["code"].clone()))
        .unwrap()
        .set_pkce_verifier(verifier)
        .request_async(&http)
        .await
        .unwrap();
    let id_token = tokens.id_token().unwrap();
    let verifier = client.id_token_verifier();
    let claims = id_token.claims(&verifier, &nonce).unwrap();
    assert_eq!(claims.subject().as_str(), "alice");
    let alg = id_token.signing_alg().unwrap();
    let hash =
        AccessTokenHash::from_token(tokens.access_token(), alg, id_token.signing_key(&verifier).unwrap())
            .unwrap();
    assert_eq!(claims.access_token_hash(), Some(&hash));
    if userinfo_works {
        let about: UserInfoClaims<
            openidconnect::EmptyAdditionalClaims,
            openidconnect::core::CoreGenderClaim,
        > = client
            .user_info(tokens.access_token().clone(), Some(claims.subject().clone()))
            .unwrap()
            .request_async(&http)
            .await
            .unwrap();
        assert_eq!(about.email().map(|e| e.as_str()), Some("alice@example.test"));
    }
    let refresh = tokens.refresh_token().unwrap();
    let renewed = client.exchange_refresh_token(refresh).unwrap().request_async(&http).await.unwrap();
    assert_ne!(renewed.access_token().secret(), tokens.access_token().secret());
}

#[tokio::test]
async fn openidconnect_logs_in_with_every_algorithm_that_it_knows() {
    for alg in [
        Alg::Rs256,
        Alg::Rs384,
        Alg::Rs512,
        Alg::Ps256,
        Alg::Ps384,
        Alg::Ps512,
        Alg::Es256,
        Alg::Es384,
        Alg::EdDsa,
    ] {
        let mut config = automatic();
        config.token.alg = alg;
        let rig = Rig::start(config).await;
        login(&rig, &rig.idp.issuer(), AuthType::BasicAuth).await;
        login(&rig, &rig.idp.issuer(), AuthType::RequestBody).await;
    }
}

/// A mock that behaves like a provider.
fn like(profile: &str, without: &[&str]) -> Config {
    let without = without.iter().map(|q| (*q).to_owned()).collect();
    let file = mock_idp::file::File::default().with_profile(Some(profile.to_owned()), without);
    let (mut config, _) = file.resolve(&automatic()).unwrap();
    config.login.interactive = false;
    config
}

#[tokio::test]
async fn openidconnect_logs_in_at_profiles() {
    for (profile, path) in [("auth0", ""), ("keycloak", "/realms/demo"), ("okta-custom", "/oauth2/default")] {
        let rig = Rig::start(like(profile, &[])).await;
        let issuer = rig.idp.issuer_at(path).unwrap();
        login(&rig, &issuer, AuthType::RequestBody).await;
    }
}

#[tokio::test]
async fn openidconnect_refuses_what_it_should() {
    for fault in ["wrong-nonce", "wrong-key", "wrong-iss", "expired-token", "alg-none", "wrong-aud"] {
        let rig = Rig::plain().await;
        let http = Http(rig.http.clone());
        let metadata = metadata(&rig, &rig.idp.issuer()).await;
        let client = CoreClient::from_provider_metadata(
            metadata,
            ClientId::new("rp".into()),
            Some(ClientSecret::new("s".into())),
        )
        .set_redirect_uri(RedirectUrl::new("http://localhost/cb".into()).unwrap());
        let (url, _, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .url();
        let back = rig.get(url.as_str()).await.location();
        rig.fault(fault, None);
        let tokens = client
            .exchange_code(AuthorizationCode::new(back["code"].clone()))
            .unwrap()
            .request_async(&http)
            .await;
        let verdict =
            tokens.unwrap().id_token().unwrap().claims(&client.id_token_verifier(), &nonce).map(|_| ());
        assert!(verdict.is_err(), "{fault}");
    }
}

#[tokio::test]
async fn openidconnect_registers_itself() {
    let mut config = automatic();
    config.clients = mock_idp::Clients::Registered(Vec::new());
    let rig = Rig::start(config).await;
    let http = Http(rig.http.clone());
    let metadata = metadata(&rig, &rig.idp.issuer()).await;
    let request = CoreClientRegistrationRequest::new(
        vec![RedirectUrl::new("http://localhost/cb".into()).unwrap()],
        EmptyAdditionalClientMetadata::default(),
    )
    .set_client_name(Some([(None, ClientName::new("rp".into()))].into_iter().collect()))
    .set_token_endpoint_auth_method(Some(CoreClientAuthMethod::ClientSecretPost));
    let registered = request.register_async(metadata.registration_endpoint().unwrap(), &http).await.unwrap();
    let client = CoreClient::from_provider_metadata(
        metadata,
        registered.client_id().clone(),
        registered.client_secret().cloned(),
    )
    .set_redirect_uri(RedirectUrl::new("http://localhost/cb".into()).unwrap())
    .set_auth_type(AuthType::RequestBody);
    let (url, _, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .url();
    let back = rig.get(url.as_str()).await.location();
    let tokens = client
        .exchange_code(AuthorizationCode::new(back["code"].clone()))
        .unwrap()
        .request_async(&http)
        .await
        .unwrap();
    assert!(tokens.id_token().unwrap().claims(&client.id_token_verifier(), &nonce).is_ok());
    let _ = CoreResponseType::Code;
}

#[tokio::test]
async fn oauth2_knows_the_other_grants() {
    let mut config = automatic();
    config.grants = mock_idp::GrantKind::ALL.to_vec();
    config.protocol.device_interval = Duration::ZERO;
    // The crate revokes over TLS only.
    let rig = Rig::secure_with(config).await;
    let http = Http(rig.http.clone());
    let metadata = metadata(&rig, &rig.idp.issuer()).await;
    let client = CoreClient::from_provider_metadata(
        metadata,
        ClientId::new("rp".into()),
        Some(ClientSecret::new("s".into())),
    )
    .set_device_authorization_url(DeviceAuthorizationUrl::new(rig.url("/device_authorization")).unwrap())
    .set_introspection_url(IntrospectionUrl::new(rig.url("/introspect")).unwrap())
    .set_revocation_url(RevocationUrl::new(rig.url("/revoke")).unwrap());

    let machine = client
        .exchange_client_credentials()
        .unwrap()
        .add_scope(Scope::new("read".into()))
        .request_async(&http)
        .await
        .unwrap();
    assert_eq!(machine.scopes().unwrap()[0].as_str(), "read");
    let active = client.introspect(machine.access_token()).request_async(&http).await.unwrap();
    assert!(active.active() && active.client_id().is_some_and(|c| c.as_str() == "rp"));
    client.revoke_token(machine.access_token().clone().into()).unwrap().request_async(&http).await.unwrap();
    assert!(!client.introspect(machine.access_token()).request_async(&http).await.unwrap().active());

    let owner = ResourceOwnerUsername::new("bob".into());
    let password = ResourceOwnerPassword::new("p".into());
    let owned = client.exchange_password(&owner, &password).unwrap().request_async(&http).await.unwrap();
    assert!(owned.refresh_token().is_some());

    let device: CoreDeviceAuthorizationResponse = client
        .exchange_device_code()
        .add_scope(Scope::new("openid".into()))
        .request_async(&http)
        .await
        .unwrap();
    let confirm =
        [("user_code", device.user_code().secret().as_str()), ("username", "carol"), ("decision", "allow")];
    rig.send(rig.http.post(rig.url("/device")).form(&confirm)).await;
    let pause = |_| async {};
    let connected = client
        .exchange_device_access_token(&device)
        .unwrap()
        .request_async(&http, pause, None)
        .await
        .unwrap();
    assert!(connected.id_token().is_some());

    let spent = RefreshToken::new("no-such-token".into());
    let refused = client.exchange_refresh_token(&spent).unwrap().request_async(&http).await.unwrap_err();
    assert!(format!("{refused:?}").contains("invalid_grant"), "{refused:?}");
}

/// The `oauth2` crate alone: every grant that it knows, where a profile has it.
async fn oauth2_alone(rig: &Rig, path: &str, scope: &str) {
    use oauth2::TokenResponse as _;
    use oauth2::basic::BasicClient;
    let http = Http(rig.http.clone());
    let metadata = rig.get(&rig.url(&format!("{path}/.well-known/openid-configuration"))).await.json();
    let url = |member: &str| crate::rig::text(&metadata, member).to_owned();
    let client = BasicClient::new(oauth2::ClientId::new("plain".into()))
        .set_client_secret(oauth2::ClientSecret::new("s e:c%ret".into()))
        .set_auth_uri(oauth2::AuthUrl::new(url("authorization_endpoint")).unwrap())
        .set_token_uri(oauth2::TokenUrl::new(url("token_endpoint")).unwrap())
        .set_device_authorization_url(
            oauth2::DeviceAuthorizationUrl::new(url("device_authorization_endpoint")).unwrap(),
        )
        .set_redirect_uri(oauth2::RedirectUrl::new("http://localhost/cb".into()).unwrap());
    let machine = client.exchange_client_credentials().add_scope(oauth2::Scope::new(scope.into()));
    assert!(machine.request_async(&http).await.unwrap().expires_in().is_some());

    let (challenge, verifier) = oauth2::PkceCodeChallenge::new_random_sha256();
    let (address, state) = client
        .authorize_url(oauth2::CsrfToken::new_random)
        .add_scopes(["openid", "offline_access"].map(|s| oauth2::Scope::new(s.into())))
        .set_pkce_challenge(challenge)
        .url();
    let back = rig.get(address.as_str()).await.location();
    assert_eq!(back.get("state"), Some(state.secret()));
    let code = oauth2::AuthorizationCode::new(back["code"].clone());
    let tokens = client.exchange_code(code).set_pkce_verifier(verifier).request_async(&http).await.unwrap();
    let renewed =
        client.exchange_refresh_token(tokens.refresh_token().unwrap()).request_async(&http).await.unwrap();
    assert_ne!(renewed.access_token().secret(), tokens.access_token().secret());

    let device: oauth2::StandardDeviceAuthorizationResponse = client
        .exchange_device_code()
        .add_scope(oauth2::Scope::new("openid".into()))
        .request_async(&http)
        .await
        .unwrap();
    let confirm =
        [("user_code", device.user_code().secret().as_str()), ("username", "alice"), ("decision", "allow")];
    rig.send(rig.http.post(device.verification_uri().as_str()).form(&confirm)).await;
    let pause = |_| async {};
    let connected =
        client.exchange_device_access_token(&device).request_async(&http, pause, None).await.unwrap();
    assert!(!connected.access_token().secret().is_empty());
}

#[tokio::test]
async fn oauth2_alone_gets_along_plainly_and_at_profiles() {
    let rig = Rig::plain().await;
    oauth2_alone(&rig, "", "read").await;
    for (profile, path) in [("keycloak", "/realms/demo"), ("okta-custom", "/oauth2/default")] {
        oauth2_alone(&Rig::start(like(profile, &[])).await, path, "read").await;
    }
    // The crate does not read `expires_in` as text, as Entra v1 writes it; without that quirk it gets along.
    oauth2_alone(&Rig::start(like("entra-v1", &["text-numbers"])).await, "/tenant", "read").await;
}

#[tokio::test]
async fn a_profile_shows_what_oauth2_cannot_read() {
    use oauth2::basic::BasicClient;
    let rig = Rig::start(like("entra-v1", &[])).await;
    let client = BasicClient::new(oauth2::ClientId::new("plain".into()))
        .set_client_secret(oauth2::ClientSecret::new("s".into()))
        .set_token_uri(oauth2::TokenUrl::new(rig.url("/tenant/oauth2/token")).unwrap());
    let refused =
        client.exchange_client_credentials().request_async(&Http(rig.http.clone())).await.unwrap_err();
    assert!(matches!(refused, oauth2::RequestTokenError::Parse(..)));
}
