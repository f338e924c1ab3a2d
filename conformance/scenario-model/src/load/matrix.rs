//! The combinations of a matrix, and their values filled in.

use serde_json::Value;

use crate::diagnostic::{Diagnostic, word_help};
use crate::document::Document;

pub(super) fn combine(document: &Document, wrong: &mut Vec<Diagnostic>) -> Vec<Vec<(String, Value)>> {
    let mut combinations = vec![Vec::new()];
    let Some(matrix) = document.value.get("matrix").and_then(Value::as_object) else { return combinations };
    for (name, list) in matrix {
        let pointer = format!("/matrix/{name}");
        let Some(list) = list.as_array().filter(|l| !l.is_empty()) else {
            wrong.push(Diagnostic::new(
                document.span(&pointer),
                format!("matrix `{name}` needs a list of values"),
            ));
            continue;
        };
        combinations = combinations
            .into_iter()
            .flat_map(|before| {
                list.iter().map(move |value| {
                    let mut values = before.clone();
                    values.push((name.clone(), value.clone()));
                    values
                })
            })
            .collect();
    }
    combinations
}

/// Placeholders that are filled in when a scenario runs, not when it is read.
const LATER: [&str; 4] = ["marker", "n", "canary", "value"];

pub(super) fn fill(
    document: &Document,
    value: &mut Value,
    at: &str,
    values: &[(String, Value)],
    wrong: &mut Vec<Diagnostic>,
) {
    match value {
        Value::String(text) => match fill_text(text, values) {
            Ok(Some(filled)) => *value = filled,
            Ok(None) => {}
            Err(name) => {
                let known: Vec<&str> = values.iter().map(|(n, _)| n.as_str()).chain(LATER).collect();
                wrong.push(
                    Diagnostic::new(document.span(at), format!("unknown placeholder `{{{name}}}`"))
                        .with_help(word_help(&name, known.iter().copied())),
                );
            }
        },
        Value::Array(items) => {
            for (nth, item) in items.iter_mut().enumerate() {
                fill(document, item, &format!("{at}/{nth}"), values, wrong);
            }
        }
        Value::Object(object) => {
            for (key, item) in object.iter_mut().filter(|(key, _)| !(at.is_empty() && *key == "matrix")) {
                match key.as_str() {
                    "body" | "patch" => fill_whole(item, values),
                    _ => fill(document, item, &format!("{at}/{key}"), values, wrong),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// In the issuer's own words braces are JSON: only a text that is one known placeholder is filled in.
fn fill_whole(value: &mut Value, values: &[(String, Value)]) {
    match value {
        Value::String(text) if is_placeholder(text) => {
            let name = &text[1..text.len() - 1];
            if let Some((_, filled)) = values.iter().find(|(known, _)| known == name) {
                *value = filled.clone();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_whole(item, values)),
        Value::Object(object) => object.values_mut().for_each(|item| fill_whole(item, values)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_placeholder(text: &str) -> bool {
    text.strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// Replaces `{name}`; a text that is nothing else takes the value with its type.
fn fill_text(text: &str, values: &[(String, Value)]) -> Result<Option<Value>, String> {
    if is_placeholder(text)
        && let Some((_, value)) = values.iter().find(|(name, _)| *name == text[1..text.len() - 1])
    {
        return Ok(Some(value.clone()));
    }
    let mut filled = String::new();
    let mut rest = text;
    let mut changed = false;
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}') else { break };
        let name = &rest[open + 1..open + length];
        filled.push_str(&rest[..open]);
        match values.iter().find(|(known, _)| known == name) {
            Some((_, value)) => {
                changed = true;
                filled.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
            None if LATER.contains(&name) => filled.push_str(&rest[open..=open + length]),
            None => return Err(name.to_owned()),
        }
        rest = &rest[open + length + 1..];
    }
    filled.push_str(rest);
    Ok(changed.then_some(Value::String(filled)))
}
