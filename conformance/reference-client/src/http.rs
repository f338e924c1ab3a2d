//! HTTP to an issuer: no proxies, no redirects, no kept connections, bounded bodies.

use reqwest::{Client, RequestBuilder, Response, redirect::Policy};

use crate::behaviour::{Behaviour, Defect};
use crate::failure::{Class, Failure};
use crate::tls;

/// A client that trusts the given PEM certificates only.
pub(crate) fn client(ca: Option<&[u8]>, behaviour: Behaviour) -> Result<Client, Failure> {
    let tls = tls::config(ca, behaviour)?;
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(Policy::none())
        // A token a minute needs no kept connection, and an idle one that died costs a failure.
        .pool_max_idle_per_host(0)
        .http1_only()
        .user_agent(concat!("reference-client/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::configuration(format!("cannot set up HTTP: {}", text(&error))))
}

/// Sends a request; what the URL says about TLS is not negotiable, but for the defect `falls-back-to-plaintext`.
pub(crate) async fn send(request: RequestBuilder, behaviour: Behaviour) -> Result<Response, reqwest::Error> {
    let again = request.try_clone().filter(|_| behaviour.has(Defect::FallsBackToPlaintext));
    match (request.send().await, again.map(RequestBuilder::build_split)) {
        (Err(error), Some((client, Ok(mut again)))) if error.is_connect() => {
            // A URL with a host takes the other scheme of the same kind.
            let _ = again.url_mut().set_scheme("http");
            client.execute(again).await
        }
        (result, _) => result,
    }
}

/// The body, however long it is and however long that takes; for the defect `endless-answers`, which keeps none of it.
pub(crate) async fn without_end(mut response: Response) {
    while let Ok(Some(_)) = response.chunk().await {
        // Whoever reads slowly is sent little: the defect shall not cost what it would cost in earnest.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The body, as long as it is at most `limit` bytes.
pub(crate) async fn body(
    mut response: Response,
    limit: usize,
    class: Class,
    what: &str,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(bytes),
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= limit => bytes.extend_from_slice(&chunk),
            Ok(Some(_)) => {
                return Err(Failure::new(
                    class,
                    format!("{what}: the answer is larger than {} KiB", limit / 1024),
                ));
            }
            Err(error) => {
                return Err(Failure::new(
                    class,
                    format!("{what}: the answer broke off: {}", text(&error.without_url())),
                ));
            }
        }
    }
}

/// An exchange that got no answer.
pub(crate) fn no_answer(error: reqwest::Error, class: Class, what: &str) -> Failure {
    Failure::new(class, format!("{what}: {}", text(&error.without_url())))
}

/// The error with its causes: reqwest's own text says little.
fn text(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
