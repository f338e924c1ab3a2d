//! The protected HTTP endpoint of a world: it takes what comes with a token of its issuer (RFC 6750), and misbehaves as told.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use mock_idp as idp;
use scenario_model::scenario::ResourceFault;

use crate::run::translate::Translator;

/// A batch is not larger.
const BODY_LIMIT: usize = 4 << 20;

/// A protected endpoint with a port for each session.
pub struct Resource {
    faults: Arc<Mutex<Faults>>,
    origins: BTreeMap<String, idp::OtherOrigin>,
}

#[derive(Default)]
struct Faults {
    list: Vec<ResourceFault>,
    /// Requests with a good token since the list was set.
    seen: u32,
}

impl Faults {
    /// The fault that hits the next request.
    fn next(&mut self) -> Option<ResourceFault> {
        let nth = self.seen;
        self.seen += 1;
        let hits = |fault: &&ResourceFault| {
            nth >= fault.after && fault.times.is_none_or(|times| nth - fault.after < times)
        };
        self.list.iter().find(hits).cloned()
    }
}

impl Resource {
    /// Starts it, with a port for each of these sessions.
    ///
    /// # Errors
    /// If no port can be listened on.
    pub async fn start<'s>(
        scheme: &idp::Scheme,
        faults: &[ResourceFault],
        sessions: impl Iterator<Item = &'s str>,
        translator: &Arc<Translator>,
    ) -> Result<Self, idp::StartError> {
        let faults = Arc::new(Mutex::new(Faults { list: faults.to_vec(), seen: 0 }));
        let mut origins = BTreeMap::new();
        for session in sessions {
            let (name, notes, told) = (session.to_owned(), translator.clone(), faults.clone());
            let router = Router::new().fallback(move |request: Request| {
                let (name, notes, told) = (name.clone(), notes.clone(), told.clone());
                async move { answer(&name, &notes, &told, request).await }
            });
            let origin = idp::OtherOrigin::serve(scheme.clone(), "resource", router).await?;
            origins.insert(session.to_owned(), origin);
        }
        Ok(Self { faults, origins })
    }

    /// The port of a session.
    pub fn port(&self, session: &str) -> Option<u16> {
        self.origins.get(session)?.url().rsplit_once(':')?.1.parse().ok()
    }

    /// New faults in the place of the old ones.
    pub fn set_faults(&self, faults: &[ResourceFault]) {
        let mut told = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Faults { list: faults.to_vec(), seen: 0 };
    }
}

async fn answer(session: &str, notes: &Translator, told: &Mutex<Faults>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // What broke off is no batch: its marker may be missing, and then nobody was served.
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let mut seen = notes.resource(session, &parts, &text(&parts.headers, &body));
    let good = seen.token_state == "valid" && seen.authorization_values == 1 && !seen.foreign;
    let fault = if good { told.lock().unwrap_or_else(PoisonError::into_inner).next() } else { None };
    let status = match (&fault, good) {
        (Some(fault), _) => StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        (None, true) => StatusCode::OK,
        (None, false) => StatusCode::UNAUTHORIZED,
    };
    seen.status = status.as_u16();
    let without_token = seen.authorization_values == 0;
    notes.resource_answered(seen);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        // RFC 6750 §3.1: no error code where no authentication was tried.
        let challenge = if without_token { "Bearer" } else { "Bearer error=\"invalid_token\"" };
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    for (name, value) in fault.iter().flat_map(|fault| &fault.headers) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            headers.insert(name, value);
        }
    }
    response
}

/// The body as far as it is text, unpacked if it says that it is packed.
fn text(headers: &http::HeaderMap, body: &Bytes) -> String {
    let packed = headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    let mut unpacked = Vec::new();
    if packed {
        let reader = flate2::read::GzDecoder::new(body.as_ref());
        // What cannot be unpacked has no marker.
        let _ = reader.take(BODY_LIMIT as u64).read_to_end(&mut unpacked);
    }
    String::from_utf8_lossy(if packed { &unpacked } else { body }).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_the_requests_that_it_names() {
        let fault = ResourceFault { status: 503, headers: BTreeMap::new(), after: 1, times: Some(2) };
        let mut faults = Faults { list: vec![fault], seen: 0 };
        let hit: Vec<bool> = (0..5).map(|_| faults.next().is_some()).collect();
        assert_eq!(hit, [false, true, true, false, false]);
    }

    #[test]
    fn a_packed_batch_is_looked_into() {
        use std::io::Write as _;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"a fc.step.0. batch").expect("into memory");
        let body = Bytes::from(packer.finish().expect("into memory"));
        let headers =
            http::HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert!(text(&headers, &body).contains("fc.step.0."));
        assert!(!text(&http::HeaderMap::new(), &body).contains("fc.step.0."));
    }
}
