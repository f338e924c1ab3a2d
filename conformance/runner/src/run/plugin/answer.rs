//! Reads what a plugin answers, whole: error, status, frames, rows. An answer that cannot be read is not a success.

use std::io::Cursor;

use arrow::ipc::reader::FileReader;
use plugin_protocol::pluginv2::check_health_response::HealthStatus;
use plugin_protocol::pluginv2::{CallResourceResponse, CheckHealthResponse, DataResponse, QueryDataResponse};
use serde_json::{Map, Value};

use crate::run::subject::Answer;

/// The one query of a request.
pub const REF_ID: &str = "A";

/// What a plugin said, and all the text that could hold a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// As the caller takes it, not yet redacted.
    pub answer: Answer,
    /// Everything that was said.
    pub whole: String,
    /// What is against the protocol: it is noise.
    pub broken: Option<&'static str>,
}

impl Read {
    /// Nothing but an error.
    pub fn error(message: String) -> Self {
        Self { whole: message.clone(), answer: Answer::Error(message), broken: None }
    }
}

/// The answer to a query: an error, or rows.
pub fn query(response: &QueryDataResponse) -> Read {
    let whole = response.responses.values().map(everything).collect();
    let (answer, broken) = match response.responses.get(REF_ID) {
        None => {
            (Answer::Error(format!("the answer has no response for query `{REF_ID}`")), Some("no-response"))
        }
        Some(one) => match data(one) {
            Ok(ok) => (Answer::Ok(ok), None),
            Err((message, broken)) => (Answer::Error(message), broken),
        },
    };
    Read { answer, whole, broken }
}

fn data(response: &DataResponse) -> Result<Map<String, Value>, (String, Option<&'static str>)> {
    if !response.error.is_empty() {
        return Err((response.error.clone(), None));
    }
    if response.status >= 400 {
        return Err((format!("status {} without an error text", response.status), None));
    }
    let mut rows = 0;
    for (nth, frame) in response.frames.iter().enumerate() {
        rows += rows_of(frame).map_err(|error| {
            (format!("frame {nth} of the answer is no Arrow IPC file: {error}"), Some("not-arrow"))
        })?;
    }
    let mut ok = Map::new();
    ok.insert("rows".into(), rows.into());
    ok.insert("frames".into(), response.frames.len().into());
    ok.insert("status".into(), response.status.into());
    Ok(ok)
}

fn rows_of(frame: &[u8]) -> Result<u64, arrow::error::ArrowError> {
    let reader = FileReader::try_new(Cursor::new(frame), None)?;
    reader.map(|batch| batch.map(|batch| batch.num_rows() as u64)).sum()
}

/// Frames are not compressed: a secret in a column or in metadata can be read in their bytes.
fn everything(response: &DataResponse) -> String {
    let mut whole = response.error.clone();
    for bytes in response.frames.iter().chain(std::iter::once(&response.json_meta)) {
        whole.push('\n');
        whole.push_str(&String::from_utf8_lossy(bytes));
    }
    whole
}

/// The answer of "Save & test".
pub fn health(response: &CheckHealthResponse) -> Read {
    let whole = format!("{}\n{}", response.message, String::from_utf8_lossy(&response.json_details));
    let answer = match HealthStatus::try_from(response.status) {
        Ok(HealthStatus::Ok) => Answer::Ok(Map::new()),
        Ok(HealthStatus::Error) => Answer::Error(response.message.clone()),
        Ok(HealthStatus::Unknown) => Answer::Error(format!("status unknown: {}", response.message)),
        Err(_) => Answer::Error(format!("status {}: {}", response.status, response.message)),
    };
    Read { answer, whole, broken: None }
}

/// The answer of a resource, from all its parts.
pub fn resource(parts: &[CallResourceResponse]) -> Read {
    let code = parts.first().map_or(0, |first| first.code);
    let body: Vec<u8> = parts.iter().flat_map(|part| part.body.iter().copied()).collect();
    let body = String::from_utf8_lossy(&body).into_owned();
    let headers = parts.iter().flat_map(|part| &part.headers);
    let headers: Vec<String> =
        headers.map(|(name, list)| format!("{name}: {}", list.values.join(", "))).collect();
    let whole = format!("{}\n{body}", headers.join("\n"));
    let answer = match code {
        200..=299 => Answer::Ok(Map::from_iter([("status".to_owned(), code.into())])),
        _ => Answer::Error(format!("status {code}: {body}")),
    };
    Read { answer, whole, broken: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(response: DataResponse, expected: Result<u64, &str>) {
        let read = query(&QueryDataResponse { responses: [(REF_ID.to_owned(), response)].into() });
        match (read.answer, expected) {
            (Answer::Ok(ok), Ok(rows)) => assert_eq!(ok["rows"], rows),
            (Answer::Error(found), Err(part)) => assert!(found.contains(part), "{found}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn an_error_a_status_and_a_broken_frame_are_no_success() {
        check(DataResponse { error: "no".into(), ..DataResponse::default() }, Err("no"));
        check(DataResponse { status: 502, ..DataResponse::default() }, Err("status 502"));
        let frames = vec![b"not arrow".to_vec()];
        check(DataResponse { frames, ..DataResponse::default() }, Err("frame 0 of the answer is no Arrow"));
        check(DataResponse::default(), Ok(0));
        let none = query(&QueryDataResponse::default());
        assert!(matches!(none.answer, Answer::Error(_)) && none.broken == Some("no-response"));
    }

    #[test]
    fn only_ok_is_healthy_and_only_two_hundreds_are_resources() {
        let status =
            |status| health(&CheckHealthResponse { status, ..CheckHealthResponse::default() }).answer;
        assert!(matches!(status(1), Answer::Ok(_)));
        for other in [0, 2, 9] {
            assert!(matches!(status(other), Answer::Error(_)), "{other}");
        }
        let code =
            |code| resource(&[CallResourceResponse { code, ..CallResourceResponse::default() }]).answer;
        assert!(matches!(code(204), Answer::Ok(_)) && matches!(code(502), Answer::Error(_)));
        assert!(matches!(resource(&[]).answer, Answer::Error(_)));
    }
}
