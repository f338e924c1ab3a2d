//! A TOML file as data with places: parsed once, checked against a JSON Schema, all mistakes at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, FileErrors, Span, word_help};

/// A TOML text, its value, and for each JSON pointer the place where it was written.
#[derive(Debug, Clone)]
pub struct Document {
    /// The name that the user knows the file by.
    pub file: String,
    /// The whole text.
    pub text: String,
    /// The value: TOML tables as objects, dates as strings.
    pub value: Value,
    spans: BTreeMap<String, Spans>,
}

#[derive(Debug, Clone)]
struct Spans {
    key: Span,
    value: Span,
}

impl Document {
    /// Parses a text, reporting every syntax error.
    pub fn parse(file: impl Into<String>, text: impl Into<String>) -> Result<Self, FileErrors> {
        let (file, text) = (file.into(), text.into());
        let (table, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            let diagnostics = errors
                .iter()
                .map(|e| {
                    Diagnostic::new(
                        e.span().unwrap_or(0..0),
                        format!("not valid TOML: {}", first_line(e.message())),
                    )
                })
                .collect();
            return Err(FileErrors::new(file, text.clone(), diagnostics));
        }
        let mut spans = BTreeMap::new();
        let value = convert_table(table.get_ref(), "", &mut spans);
        Ok(Self { file, text: text.clone(), value, spans })
    }

    /// The place of a JSON pointer's value, or of the nearest parent that was written.
    pub fn span(&self, pointer: &str) -> Span {
        self.nearest(pointer).map_or(0..0, |s| s.value.clone())
    }

    /// The place of a JSON pointer's key, or of the nearest parent's.
    pub fn key_span(&self, pointer: &str) -> Span {
        self.nearest(pointer).map_or(0..0, |s| s.key.clone())
    }

    fn nearest(&self, pointer: &str) -> Option<&Spans> {
        let mut at = pointer;
        loop {
            if let Some(found) = self.spans.get(at) {
                return Some(found);
            }
            at = &at[..at.rfind('/')?];
        }
    }

    /// Checks a value (this document's, or a permutation of it) against the schema of `T` and reads it.
    pub fn read<T: DeserializeOwned + JsonSchema>(&self, value: &Value) -> Result<T, Vec<Diagnostic>> {
        let schema = schema_of::<T>();
        let diagnostics: Vec<Diagnostic> =
            schema.validator.iter_errors(value).flat_map(|e| self.explain(&e, &schema.value)).collect();
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        serde_path_to_error::deserialize(value.clone()).map_err(
            |e: serde_path_to_error::Error<serde_json::Error>| {
                let pointer = pointer_of(e.path());
                vec![Diagnostic::new(self.span(&pointer), first_line(&e.inner().to_string()))]
            },
        )
    }

    /// Like [`Document::read`] for the document's own value, as errors of the file.
    pub fn read_all<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, FileErrors> {
        self.read(&self.value).map_err(|d| self.errors(d))
    }

    /// Puts diagnostics together with the text.
    pub fn errors(&self, diagnostics: Vec<Diagnostic>) -> FileErrors {
        FileErrors::new(self.file.clone(), self.text.clone(), diagnostics)
    }

    fn explain(&self, error: &jsonschema::ValidationError<'_>, schema: &Value) -> Vec<Diagnostic> {
        let at = error.instance_path().as_str();
        let found = error.instance();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let place = error.schema_path().as_str();
                let parent = place.strip_suffix("/additionalProperties").unwrap_or(place);
                let known = schema.pointer(&format!("{parent}/properties"));
                let known: Vec<&str> = known
                    .and_then(Value::as_object)
                    .map_or(vec![], |o| o.keys().map(String::as_str).collect());
                unexpected
                    .iter()
                    .map(|key| {
                        let span = self.key_span(&format!("{at}/{}", escape(key)));
                        Diagnostic::new(span, format!("unknown key `{key}`"))
                            .with_help(word_help(key, known.iter().copied()))
                    })
                    .collect()
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or("?");
                vec![Diagnostic::new(self.key_span(at), format!("missing key `{name}`"))]
            }
            ValidationErrorKind::Enum { options } => {
                let options: Vec<&str> =
                    options.as_array().map_or(vec![], |o| o.iter().filter_map(Value::as_str).collect());
                let word = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                vec![
                    Diagnostic::new(self.span(at), format!("unknown value `{word}`"))
                        .with_help(word_help(&word, options.iter().copied())),
                ]
            }
            ValidationErrorKind::Type { kind } => {
                let expected = match kind {
                    TypeKind::Single(one) => one.to_string(),
                    TypeKind::Multiple(many) => {
                        many.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(" or ")
                    }
                };
                vec![Diagnostic::new(
                    self.span(at),
                    format!("expected {expected}, found {}", type_name(found)),
                )]
            }
            _ => vec![Diagnostic::new(self.span(at), first_line(&error.to_string()))],
        }
    }
}

struct CompiledSchema {
    value: Value,
    validator: jsonschema::Validator,
}

/// Compiling a schema costs a thousand times more than using it, so each type's is kept.
fn schema_of<T: JsonSchema>() -> Arc<CompiledSchema> {
    static KNOWN: Mutex<BTreeMap<String, Arc<CompiledSchema>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .entry(T::schema_id().into_owned())
        .or_insert_with(|| {
            let value = schema_value::<T>();
            let validator = jsonschema::validator_for(&value).expect("a derived schema is valid");
            Arc::new(CompiledSchema { value, validator })
        })
        .clone()
}

/// The JSON Schema (draft 2020-12) of what is written as JSON: an absent value may be `null` there.
pub fn data_schema<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The JSON Schema (draft 2020-12) of a file type, without references, without `null` (TOML has none).
pub fn schema_value<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut value = settings.into_generator().into_root_schema_for::<T>().to_value();
    simplify(&mut value);
    value
}

fn simplify(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|t| t != "null");
                if types.len() == 1 {
                    let only = types.remove(0);
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(options)) = object.get_mut("enum") {
                options.retain(|o| !o.is_null());
            }
            if let Some(Value::Array(options)) = object.get_mut("anyOf") {
                options.retain(|o| o.get("type").is_none_or(|t| t != "null"));
                if options.len() == 1 {
                    let only = options.remove(0);
                    object.remove("anyOf");
                    if let Value::Object(only) = only {
                        object.extend(only);
                    }
                }
            }
            let words: Option<Vec<Value>> =
                object.get("oneOf").and_then(Value::as_array).and_then(|options| {
                    options.iter().map(|o| o.get("const").cloned()).collect::<Option<Vec<Value>>>()
                });
            if let Some(words) = words {
                object.remove("oneOf");
                object.insert("enum".into(), Value::Array(words));
            }
            object.values_mut().for_each(simplify);
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn convert_table(table: &DeTable<'_>, at: &str, spans: &mut BTreeMap<String, Spans>) -> Value {
    let mut object = Map::new();
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let pointer = format!("{at}/{}", escape(key.get_ref()));
        spans.insert(pointer.clone(), Spans { key: key.span(), value: value.span() });
        object.insert(key.get_ref().to_string(), convert(value, &pointer, spans));
    }
    Value::Object(object)
}

fn convert(value: &Spanned<DeValue<'_>>, at: &str, spans: &mut BTreeMap<String, Spans>) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            let (digits, radix) = (number.as_str().replace('_', ""), number.radix());
            let signed = i64::from_str_radix(&digits, radix).map(Value::from);
            // What JSON can say and TOML need not: a scenario may want an issuer to say it.
            signed.or_else(|_| u64::from_str_radix(&digits, radix).map(Value::from)).unwrap_or(Value::Null)
        }
        DeValue::Float(number) => {
            number.as_str().replace('_', "").parse::<f64>().map_or(Value::Null, Value::from)
        }
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::Datetime(when) => Value::String(when.to_string()),
        DeValue::Array(items) => {
            let mut list = Vec::new();
            for (nth, item) in items.iter().enumerate() {
                let pointer = format!("{at}/{nth}");
                spans.insert(pointer.clone(), Spans { key: item.span(), value: item.span() });
                list.push(convert(item, &pointer, spans));
            }
            Value::Array(list)
        }
        DeValue::Table(table) => convert_table(table, at, spans),
    }
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "table",
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
