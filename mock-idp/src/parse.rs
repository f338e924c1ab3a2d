//! All parsers of untrusted input behind one door, for the fuzzer.

use serde_json::Value;

use crate::answer::filled_text;
use crate::endpoint::{Paths, metadata_of};
use crate::fault::FaultRequest;
use crate::file::{File, Format};
use crate::{call, client_auth, host, jwt};

/// Takes any bytes for each thing that a stranger may send; the first byte chooses which.
#[doc(hidden)]
pub fn parse_anything(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    match kind % 8 {
        0 => {
            let params = call::form(rest);
            let _ = client_auth::post(&params);
        }
        1 => {
            let _ = client_auth::basic(&text);
        }
        2 => {
            let _ = jwt::unverified_claims(&text);
            let _ = jsonwebtoken::decode_header(text.as_bytes());
        }
        3 => {
            let mut halves = text.splitn(2, '\n').map(serde_json::from_str::<Value>);
            if let (Some(Ok(mut document)), Some(Ok(patch))) = (halves.next(), halves.next()) {
                json_patch::merge(&mut document, &patch);
            }
        }
        4 => {
            if let Ok(request) = serde_json::from_str::<FaultRequest>(&text) {
                let _ = request.resolve();
            }
        }
        5 => {
            for format in [Format::Toml, Format::Yaml, Format::Json] {
                if let Ok(file) = File::parse("fuzz", &text, format) {
                    let _ = file.resolve(&crate::Config::default());
                }
            }
        }
        6 => {
            let _ = metadata_of(&text);
            let paths = Paths::default();
            if let Some((root, _)) = paths.split(&text) {
                let _ = host::is_root(root);
            }
        }
        _ => {
            let _ = filled_text(&text, &[("client_id", "a"), ("sub", "{client_id}")]);
        }
    }
}
