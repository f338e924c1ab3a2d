//! Reads what a plugin answers, whole: error, status, frames, rows. An answer that cannot be read is not a success.

use std::io::Cursor;

use arrow::ipc::reader::FileReader;
use plugin_protocol::pluginv2::check_health_response::HealthStatus;
use plugin_protocol::pluginv2::{CallResourceResponse, CheckHealthResponse, DataResponse, QueryDataResponse};
use serde_json::{Map, Value};

use crate::run::subject::Answer;

/// The name of the n-th query of a request, as Grafana gives them: a letter.
pub fn ref_id(nth: usize) -> String {
    char::from(b'A' + u8::try_from(nth % 26).expect("less than 26")).to_string()
}

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

/// The answers to the queries of a request: each an error, or rows. What nobody asked for is looked at with the first.
pub fn queries(response: &QueryDataResponse, asked: usize) -> Vec<Read> {
    let names: Vec<String> = (0..asked).map(ref_id).collect();
    let unasked = response.responses.iter().filter(|(name, _)| !names.contains(name));
    let unasked: String = unasked.map(|(_, one)| everything(one)).collect();
    let mut reads: Vec<Read> = names.iter().map(|name| query(response.responses.get(name), name)).collect();
    if let Some(first) = reads.first_mut() {
        first.whole.push_str(&unasked);
    }
    reads
}

fn query(response: Option<&DataResponse>, name: &str) -> Read {
    let whole = response.map(everything).unwrap_or_default();
    let (answer, broken) = match response {
        None => {
            (Answer::Error(format!("the answer has no response for query `{name}`")), Some("no-response"))
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
        let read = one(&QueryDataResponse { responses: [(ref_id(0), response)].into() });
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
        let none = one(&QueryDataResponse::default());
        assert!(matches!(none.answer, Answer::Error(_)) && none.broken == Some("no-response"));
    }

    fn one(response: &QueryDataResponse) -> Read {
        queries(response, 1).remove(0)
    }

    #[test]
    fn each_query_of_a_request_has_its_own_answer_and_nothing_is_overlooked() {
        let failed = |error: &str| DataResponse { error: error.to_owned(), ..DataResponse::default() };
        let responses = [("A", DataResponse::default()), ("B", failed("no")), ("Z", failed("a secret"))];
        let responses = responses.map(|(name, one)| (name.to_owned(), one)).into();
        let reads = queries(&QueryDataResponse { responses }, 3);
        assert!(matches!(reads[0].answer, Answer::Ok(_)) && reads[0].whole.contains("a secret"));
        assert!(matches!(&reads[1].answer, Answer::Error(message) if message == "no"));
        assert_eq!((reads[1].broken, reads[2].broken), (None, Some("no-response")));
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
