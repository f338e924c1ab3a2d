//! Errors of a file that a user wrote: where, what was found, what was expected, what to do.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A place in a text, in bytes.
pub type Span = Range<usize>;

/// One mistake in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Where in the text, in bytes.
    pub span: Span,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do next, if we know it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All mistakes of one file, with its text, so that each can be shown with line and caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileErrors {
    /// The name that the user knows the file by.
    pub file: String,
    /// The whole text.
    pub text: String,
    /// At least one, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl FileErrors {
    /// Sorts and removes doubles: each permutation of a matrix finds the same mistake again.
    pub fn new(file: impl Into<String>, text: impl Into<String>, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
        diagnostics.dedup();
        Self { file: file.into(), text: text.into(), diagnostics }
    }
}

impl fmt::Display for FileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, diagnostic) in self.diagnostics.iter().enumerate() {
            if nth > 0 {
                writeln!(f)?;
            }
            let (line, column) = line_and_column(&self.text, diagnostic.span.start);
            writeln!(f, "error: {}", diagnostic.message)?;
            writeln!(f, "  --> {}:{line}:{column}", self.file)?;
            write!(f, "{}", excerpt(&self.text, &diagnostic.span))?;
            if let Some(help) = &diagnostic.help {
                writeln!(f, "  = help: {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for FileErrors {}

/// Line and column, both from 1, the column in characters.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
    (line, column)
}

/// The line of a span with a caret below it.
pub fn excerpt(text: &str, span: &Span) -> String {
    let (line, column) = line_and_column(text, span.start);
    let source = text.lines().nth(line - 1).unwrap_or("");
    let left = source.chars().count().saturating_sub(column - 1).max(1);
    let wanted = text.get(span.clone()).map_or(1, |part| part.lines().next().unwrap_or("").chars().count());
    let carets = "^".repeat(wanted.clamp(1, left));
    let gutter = line.to_string().len();
    format!("{:gutter$} |\n{line} | {source}\n{:gutter$} | {}{carets}\n", "", "", " ".repeat(column - 1))
}

/// The nearest of a closed list of words, if one is near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Help text for a word that is not in a closed list.
pub fn word_help<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match did_you_mean(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let list: Vec<String> = known.into_iter().map(|k| format!("`{k}`")).collect();
            format!("known here: {}", list.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_below_the_word() {
        let text = "title = \"x\"\nlanne = \"instant\"\n";
        let errors = FileErrors::new(
            "a.toml",
            text,
            vec![Diagnostic::new(12..17, "unknown key `lanne`").with_help("x")],
        );
        assert_eq!(
            errors.to_string(),
            "error: unknown key `lanne`\n  --> a.toml:2:1\n  |\n2 | lanne = \"instant\"\n  | ^^^^^\n  = help: x\n"
        );
    }

    #[test]
    fn near_words_are_offered_and_far_ones_are_not() {
        assert_eq!(did_you_mean("lanne", ["lane", "title"]), Some("lane"));
        assert_eq!(did_you_mean("expire_in", ["expires_in", "audience"]), Some("expires_in"));
        assert_eq!(did_you_mean("zzz", ["lane", "title"]), None);
    }
}
