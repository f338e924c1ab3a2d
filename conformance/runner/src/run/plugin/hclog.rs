//! The log of a Go plugin for people: hclog prints JSON, we keep level, message and fields.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Said of every line and of no use beside our own stamp.
const LEFT_OUT: [&str; 4] = ["@level", "@message", "@timestamp", "@module"];

/// `info: message key=value`; a line that is no hclog line stays as it is. Nothing that could be a secret is left out.
pub fn readable(line: &[u8]) -> Cow<'_, [u8]> {
    let Ok(object) = serde_json::from_slice::<Map<String, Value>>(line) else { return Cow::Borrowed(line) };
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let (Some(level), Some(message)) = (text("@level"), text("@message")) else { return Cow::Borrowed(line) };
    let mut words = format!("{level}: {message}");
    for (name, value) in object.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        words.push_str(&format!(" {name}={value}"));
    }
    Cow::Owned(words.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&readable(line.as_bytes())), expected);
    }

    #[test]
    fn an_hclog_line_reads_like_a_sentence_and_any_other_stays() {
        check(
            r#"{"@level":"error","@message":"no \"luck\"","@timestamp":"2026","dsUid":"fc-1","n":3}"#,
            "error: no \"luck\" dsUid=fc-1 n=3",
        );
        check("panic: oh", "panic: oh");
        check(r#"{"level":"info"}"#, r#"{"level":"info"}"#);
    }
}
