//! The token request (RFC 6749 §4.4.2) and how the client authenticates in it (§2.3.1).

use reqwest::{Client, Response, StatusCode, header};
use url::{Url, form_urlencoded};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::behaviour::{Behaviour, Defect};
use crate::config::OAuth;
use crate::failure::{Class, Failure};
use crate::http;
use crate::secret::Secret;

/// How the client shows its id and secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`
    Post,
}

/// One token request, ready to send.
#[derive(Debug)]
pub(crate) struct TokenRequest<'a> {
    pub(crate) oauth: &'a OAuth,
    pub(crate) endpoint: &'a Url,
    pub(crate) style: Style,
    pub(crate) behaviour: Behaviour,
    /// Sent by the defect `uses-refresh-token` only.
    pub(crate) refresh: Option<&'a Secret>,
}

impl TokenRequest<'_> {
    /// Sends it; a redirect is an answer, never followed.
    pub(crate) async fn send(&self, http: &Client) -> Result<Response, Failure> {
        if self.behaviour.has(Defect::JsonFirst) {
            let first = self.send_to(http, self.url(), true).await?;
            if first.status() == StatusCode::OK {
                return Ok(first);
            }
        }
        let as_json = self.behaviour.has(Defect::JsonBody);
        let response = self.send_to(http, self.url(), as_json).await?;
        let keeps_the_body = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT];
        if self.behaviour.has(Defect::FollowsRedirectWithSecret)
            && keeps_the_body.contains(&response.status())
        {
            let location =
                response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            if let Some(url) = location.and_then(|location| self.endpoint.join(location).ok()) {
                return self.send_to(http, url, as_json).await;
            }
        }
        let becomes_a_get = [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND, StatusCode::SEE_OTHER];
        if self.behaviour.has(Defect::FollowsSeeOther) && becomes_a_get.contains(&response.status()) {
            let location = response.headers().get(header::LOCATION).and_then(|l| l.to_str().ok());
            if let Some(url) = location.and_then(|location| self.endpoint.join(location).ok()) {
                let request = http
                    .get(url)
                    .header(header::AUTHORIZATION, basic(self.oauth, self.behaviour))
                    .send()
                    .await;
                return request
                    .map_err(|error| http::no_answer(error, Class::Token, "the token request failed"));
            }
        }
        Ok(response)
    }

    async fn send_to(&self, http: &Client, url: Url, as_json: bool) -> Result<Response, Failure> {
        let pairs = self.pairs();
        let mut request = http.post(url).header(header::ACCEPT, "application/json");
        request = if as_json {
            let object: serde_json::Map<String, serde_json::Value> =
                pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            request
                .header(header::CONTENT_TYPE, "application/json")
                .body(serde_json::Value::from(object).to_string())
        } else {
            let body = if self.behaviour.has(Defect::RawForm) {
                pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
            } else {
                form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
            };
            request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
        };
        if self.style == Style::Basic || self.behaviour.has(Defect::HeaderAndBody) {
            request = request.header(header::AUTHORIZATION, basic(self.oauth, self.behaviour));
        }
        let response = http::send(request, self.behaviour).await;
        response.map_err(|error| http::no_answer(error, Class::Token, "the token request failed"))
    }

    /// The parameters of the body.
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let mut pairs = match self.refresh {
            Some(refresh) => vec![("grant_type", "refresh_token"), ("refresh_token", refresh.expose())],
            None => vec![("grant_type", "client_credentials")],
        };
        if let Some(scope) = self.oauth.scope.as_deref().filter(|_| !self.behaviour.has(Defect::DropsScope)) {
            let first = scope.split(' ').next().unwrap_or(scope);
            pairs.push(("scope", if self.behaviour.has(Defect::FirstScopeOnly) { first } else { scope }));
        }
        if self.oauth.scope.is_none() && self.behaviour.has(Defect::EmptyScope) {
            pairs.push(("scope", ""));
        }
        if self.oauth.scope.is_none() && self.behaviour.has(Defect::InventsScope) {
            pairs.push(("scope", "openid"));
        }
        if let Some(audience) =
            self.oauth.audience.as_deref().filter(|_| !self.behaviour.has(Defect::DropsAudience))
        {
            pairs.push(("audience", audience));
        }
        if self.style == Style::Post || self.behaviour.has(Defect::HeaderAndBody) {
            pairs.push(("client_id", &self.oauth.client_id));
            pairs.push(("client_secret", self.oauth.client_secret.expose()));
        }
        pairs
    }

    /// All of it, for the defect `request-in-error`.
    pub(crate) fn shown(&self) -> String {
        format!("POST {} authorization: {}", self.endpoint, basic(self.oauth, self.behaviour))
    }

    fn url(&self) -> Url {
        let mut url = self.endpoint.clone();
        if self.behaviour.has(Defect::SecretInUrl) {
            url.query_pairs_mut()
                .append_pair("client_id", &self.oauth.client_id)
                .append_pair("client_secret", self.oauth.client_secret.expose());
        }
        url
    }
}

/// The Basic header: id and secret are form-encoded first.
pub(crate) fn basic(oauth: &OAuth, behaviour: Behaviour) -> String {
    let (id, secret) = (oauth.client_id.as_str(), oauth.client_secret.expose());
    let pair = if behaviour.has(Defect::RawBasic) {
        format!("{id}:{secret}")
    } else {
        format!("{}:{}", form_encode(id), form_encode(secret))
    };
    format!("Basic {}", STANDARD.encode(pair))
}

/// `application/x-www-form-urlencoded` (RFC 6749 appendix B).
pub(crate) fn form_encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Source;

    fn oauth(secret: &str) -> OAuth {
        let endpoint = Url::parse("https://issuer.test/token").expect("a URL");
        OAuth {
            source: Source::TokenUrl(endpoint),
            client_id: "id".into(),
            client_secret: Secret::new(secret),
            scope: Some("read write".into()),
            audience: None,
            kept_at: None,
        }
    }

    fn request(oauth: &OAuth, style: Style, behaviour: Behaviour) -> TokenRequest<'_> {
        let Source::TokenUrl(endpoint) = &oauth.source else { panic!("the test's own source") };
        TokenRequest { oauth, endpoint, style, behaviour, refresh: None }
    }

    #[test]
    fn special_characters_are_form_encoded_before_base64() {
        let oauth = oauth(":%+&=/ é");
        let decode = |header: String| {
            let encoded = header.strip_prefix("Basic ").expect("Basic").to_owned();
            String::from_utf8(STANDARD.decode(encoded).expect("Base64")).expect("UTF-8")
        };
        assert_eq!(decode(basic(&oauth, Behaviour::default())), "id:%3A%25%2B%26%3D%2F+%C3%A9");
        let raw = basic(&oauth, Behaviour::with_defect(Defect::RawBasic));
        assert_eq!(decode(raw), "id::%+&=/ é");
    }

    #[test]
    fn the_body_holds_only_what_is_configured_and_credentials_only_with_post() {
        let oauth = oauth("s");
        let basic = request(&oauth, Style::Basic, Behaviour::default());
        assert_eq!(basic.pairs(), [("grant_type", "client_credentials"), ("scope", "read write")]);
        let post = request(&oauth, Style::Post, Behaviour::default());
        assert_eq!(post.pairs()[2..], [("client_id", "id"), ("client_secret", "s")]);
    }

    proptest! {
        #[test]
        fn form_encoding_comes_back_by_decoding(text in any::<String>()) {
            let body = format!("v={}", form_encode(&text));
            let decoded: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            prop_assert_eq!(decoded, vec![("v".to_owned(), text)]);
        }
    }
}
