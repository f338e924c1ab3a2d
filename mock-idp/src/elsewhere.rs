//! An origin that nobody configured: where a redirect leads, to see what a client takes there.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::{Router, routing::any};
use http::StatusCode;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::config::{Scheme, StartError};
use crate::endpoint::Endpoint;
use crate::fault::Gate;
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
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listener = Listener::bind(address, &name, Endpoint::Any, scheme.clone(), None)?;
        let url = format!("{}://localhost:{}", scheme.as_str(), listener.port());
        let own = url.clone();
        listener.served =
            Served::Other(Router::new().fallback_service(any(async move |request: Request| {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
                recorder(service::elsewhere_record(&name, &parts, &body));
                let answer = json!({
                    "access_token": "a-token-of-elsewhere", "token_type": "Bearer", "expires_in": 3600,
                    "issuer": own, "token_endpoint": format!("{own}/token"),
                });
                Answer::json(StatusCode::OK, &answer).into_response()
            })));
        let (gate, gated) = watch::channel(Gate::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.serve(gated));
        Ok(Self { url, _tasks: tasks, _gate: gate })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        self.url.clone()
    }
}
