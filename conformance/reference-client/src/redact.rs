//! Removes secrets from text, in every form in which an issuer or a server may echo them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::oauth::form_encode;

/// Knows the secrets of one session and learns its tokens.
#[derive(Debug, Default)]
pub(crate) struct Redactor(Mutex<Forms>);

/// Sorted so that a longer form is replaced before a shorter one that it contains.
type Forms = BTreeSet<(std::cmp::Reverse<usize>, HiddenForm)>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct HiddenForm(String);

impl std::fmt::Debug for HiddenForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Redactor {
    /// From now on removes this secret: as it is, form- and percent-encoded, quoted for JSON, and in Base64.
    pub(crate) fn learn(&self, secret: &str) {
        let mut forms = self.forms();
        for form in all_forms(secret).into_iter().filter(|form| !form.is_empty()) {
            forms.insert((std::cmp::Reverse(form.len()), HiddenForm(form)));
        }
    }

    /// From now on removes this pair as it stands in a Basic header, raw and form-encoded.
    pub(crate) fn learn_pair(&self, name: &str, secret: &str) {
        self.learn(secret);
        for pair in [format!("{name}:{secret}"), format!("{}:{}", form_encode(name), form_encode(secret))] {
            self.learn(&pair);
        }
    }

    /// The text without any form of any known secret.
    pub(crate) fn clean(&self, text: &str) -> String {
        let forms = self.forms();
        forms.iter().fold(text.to_owned(), |text, (_, form)| text.replace(&form.0, "[redacted]"))
    }

    /// The text for a caller or a log: cleaned first, so that no cut leaves a part of a secret; then on one line and short.
    pub(crate) fn present(&self, text: &str) -> String {
        shorten(&self.clean(text))
    }

    fn forms(&self) -> MutexGuard<'_, Forms> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At most 2,000 characters, on one line.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(2000).collect()
}

fn all_forms(secret: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(secret).to_string();
    let form = form_encode(secret);
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    vec![
        secret.to_owned(),
        quoted.trim_matches('"').to_owned(),
        lower_hex(&form),
        lower_hex(&percent),
        form,
        percent,
        // Without padding, so that the padded form is found too.
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ]
}

/// `%2B` as `%2b`.
fn lower_hex(encoded: &str) -> String {
    let mut left = 0;
    encoded
        .chars()
        .map(|c| {
            let of_escape = left > 0;
            left = if c == '%' { 2_u8 } else { left.saturating_sub(1) };
            if of_escape { c.to_ascii_lowercase() } else { c }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn basic_header_of_the_pair_is_removed_raw_and_form_encoded() {
        let redactor = Redactor::default();
        redactor.learn_pair("id", "s e+c");
        for pair in ["id:s e+c", "id:s+e%2Bc"] {
            let header = base64::engine::general_purpose::STANDARD.encode(pair);
            let cleaned = redactor.clean(&format!("you sent Basic {header}"));
            assert!(cleaned.starts_with("you sent Basic [redacted]"), "{cleaned}");
        }
    }

    #[test]
    fn lower_hex_changes_only_the_escapes() {
        assert_eq!(lower_hex("ABC%2BD%C3%A9F"), "ABC%2bD%c3%a9F");
    }

    #[test]
    fn a_long_text_is_cut_only_after_it_was_cleaned() {
        let redactor = Redactor::default();
        redactor.learn("0123456789abcdef");
        let text = format!("{}0123456789abcdef", "x".repeat(1990));
        assert!(!redactor.present(&text).contains("0123"));
        assert_eq!(redactor.present("a\r\nb"), "a  b");
    }

    #[test]
    fn text_without_secrets_is_untouched() {
        let redactor = Redactor::default();
        redactor.learn("hunter2");
        assert_eq!(redactor.clean("invalid_client"), "invalid_client");
    }

    proptest! {
        #[test]
        fn no_form_of_a_secret_survives(secret in "[!-~é ]{8,40}", before in "[a-z ]{0,9}", after in "[a-z ]{0,9}") {
            let redactor = Redactor::default();
            redactor.learn(&secret);
            for form in all_forms(&secret) {
                let cleaned = redactor.clean(&format!("{before}{form}{after}"));
                prop_assert!(!cleaned.contains(&form), "{form} in {cleaned}");
            }
        }
    }
}
