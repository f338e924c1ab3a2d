//! An origin that nobody configured: where a redirect leads, to see what a client takes there.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::{Router, routing::any};
use http::StatusCode;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::config::{Alg, Scheme, StartError};
use crate::endpoint::Endpoint;
use crate::fault::Gate;
use crate::key_pool::{KeyPool, STRANGER};
use crate::listener::{Listener, Served};
use crate::record::Recorder;
use crate::service;

const BODY_LIMIT: usize = 64 * 1024;

/// A server that records every request and answers each with something like a token, which is also something like the
/// metadata of an issuer: its own.
pub struct OtherOrigin {
    url: String,
    _tasks: JoinSet<()>,
    _gate: watch::Sender<Gate>,
}

impl OtherOrigin {
    /// Starts it on a free port of `localhost`: another host than 127.0.0.1, which some clients look at without the port.
    ///
    /// # Errors
    /// If no port can be listened on.
    pub async fn start(scheme: Scheme, name: String, recorder: Recorder) -> Result<Self, StartError> {
        Self::start_with(scheme, name, recorder, None).await
    }

    /// The same; at `/jwks.json` and `/certificate.pem` there is the key that tokens with the faults `jku` and `x5u` are
    /// signed with.
    ///
    /// # Errors
    /// If no port can be listened on.
    pub async fn start_with_keys(
        scheme: Scheme,
        name: String,
        recorder: Recorder,
        keys: Arc<KeyPool>,
        alg: Alg,
    ) -> Result<Self, StartError> {
        Self::start_with(scheme, name, recorder, Some((keys, alg))).await
    }

    /// The same on 127.0.0.1, with answers of the caller's own; nothing is recorded.
    ///
    /// # Errors
    /// If no port can be listened on.
    pub async fn serve(scheme: Scheme, name: &str, router: Router) -> Result<Self, StartError> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listener = Listener::bind(address, name, Endpoint::Any, scheme.clone(), None)?;
        let url = format!("{}://127.0.0.1:{}", scheme.as_str(), listener.port());
        listener.served = Served::Other(router);
        Ok(Self::started(url, listener))
    }

    fn started(url: String, listener: Listener) -> Self {
        let (gate, gated) = watch::channel(Gate::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.serve(gated));
        Self { url, _tasks: tasks, _gate: gate }
    }

    async fn start_with(
        scheme: Scheme,
        name: String,
        recorder: Recorder,
        keys: Option<(Arc<KeyPool>, Alg)>,
    ) -> Result<Self, StartError> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listener = Listener::bind(address, &name, Endpoint::Any, scheme.clone(), None)?;
        let url = format!("{}://localhost:{}", scheme.as_str(), listener.port());
        let own = url.clone();
        listener.served =
            Served::Other(Router::new().fallback_service(any(async move |request: Request| {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
                recorder(service::elsewhere_record(&name, &parts, &body));
                match (parts.uri.path(), &keys) {
                    ("/jwks.json", Some((keys, alg))) => {
                        let set = json!({ "keys": [keys.key(*alg, STRANGER).jwk("stranger")] });
                        return Answer::json(StatusCode::OK, &set).into_response();
                    }
                    ("/certificate.pem", Some((keys, alg))) => {
                        let pem = keys.key(*alg, STRANGER).certificate_pem().unwrap_or_default();
                        return Answer::typed(StatusCode::OK, "application/pem-certificate-chain", pem)
                            .into_response();
                    }
                    _ => {}
                }
                let answer = json!({
                    "access_token": "a-token-of-elsewhere", "token_type": "Bearer", "expires_in": 3600,
                    "issuer": own, "token_endpoint": format!("{own}/token"),
                });
                Answer::json(StatusCode::OK, &answer).into_response()
            })));
        Ok(Self::started(url, listener))
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        self.url.clone()
    }
}
