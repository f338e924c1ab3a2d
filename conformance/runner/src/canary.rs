//! Synthetic secrets of a run, and the search for them in everything that a subject prints or says.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng as _;
use rand::distr::Alphanumeric;

/// Makes secrets that occur nowhere else.
#[derive(Debug)]
pub struct CanaryMaker(rand::rngs::StdRng);

impl CanaryMaker {
    /// The same seed makes the same secrets.
    pub fn new(seed: u64) -> Self {
        Self(rand::SeedableRng::seed_from_u64(seed))
    }

    /// A word of 24 letters and digits behind a prefix.
    pub fn make(&mut self, prefix: &str) -> String {
        let tail: String = (&mut self.0).sample_iter(Alphanumeric).take(24).map(char::from).collect();
        format!("{prefix}{tail}")
    }
}

/// One form of one secret.
#[derive(Debug, Clone)]
struct Needle {
    text: String,
    name: String,
}

/// All secrets of one permutation in all forms that are looked for. Grows as tokens are issued.
#[derive(Debug, Default)]
pub struct Canaries {
    needles: RwLock<Vec<Needle>>,
    /// Users of steps: no secrets, but not everybody may be told.
    users: RwLock<BTreeSet<String>>,
}

/// A text without secrets, and which it held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scanned {
    /// The text with every secret replaced.
    pub text: String,
    /// Secret and form, for instance `client_secret (url-encoded)`.
    pub leaks: Vec<String>,
}

/// What a form (`application/x-www-form-urlencoded`) leaves as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');
/// What many clients leave as it is in a URL.
const URL: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'%').add(b'&').add(b'+').add(b'=').add(b'/').add(b'#');

impl Canaries {
    /// Adds a secret in its raw, URL-encoded, JSON, base64 and hexadecimal forms.
    pub fn add(&self, name: &str, secret: &str) {
        let json = serde_json::to_string(secret).expect("a string");
        let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
        let mut forms = vec![
            ("raw", secret.to_owned()),
            ("form-encoded", utf8_percent_encode(secret, FORM).to_string().replace("%20", "+")),
            ("url-encoded", utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()),
            ("url-encoded", utf8_percent_encode(secret, URL).to_string()),
            ("json", json.trim_matches('"').to_owned()),
            ("hexadecimal", hex),
        ];
        // Inside a longer base64 text a secret looks different at each of three offsets.
        for offset in 0..3 {
            let padded = format!("{}{secret}", "x".repeat(offset));
            let skip = [0, 2, 3][offset];
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let encoded = engine.encode(&padded);
                let end = encoded.len() - usize::from(padded.len() % 3 != 0);
                forms.push(("base64", encoded[skip..end].to_owned()));
            }
        }
        self.extend(name, forms);
    }

    /// Adds a pair that HTTP Basic would send.
    pub fn add_basic(&self, name: &str, id: &str, secret: &str) {
        let encoded = |s: &str| utf8_percent_encode(s, FORM).to_string().replace("%20", "+");
        let forms = vec![
            ("basic", STANDARD.encode(format!("{id}:{secret}"))),
            ("basic", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)))),
        ];
        self.extend(name, forms);
    }

    /// Adds a token: whole, and for a JWT its signature, without which it is worth nothing.
    pub fn add_token(&self, token: &str) {
        let mut forms = vec![("raw", token.to_owned())];
        if let Some((_, signature)) = token.rsplit_once('.').filter(|(head, _)| head.contains('.')) {
            forms.push(("signature", signature.to_owned()));
        }
        self.extend("access_token", forms);
    }

    fn extend(&self, name: &str, forms: Vec<(&str, String)>) {
        let mut needles = self.needles.write().unwrap_or_else(PoisonError::into_inner);
        for (form, text) in forms {
            if text.len() >= 8 && !needles.iter().any(|n| n.text == text) {
                needles.push(Needle { text, name: format!("{name} ({form})") });
            }
        }
        needles.sort_by_key(|n| std::cmp::Reverse(n.text.len()));
    }

    /// Replaces every secret in a text.
    pub fn scan(&self, text: &str) -> Scanned {
        let needles = self.needles.read().unwrap_or_else(PoisonError::into_inner);
        let mut scanned = Scanned { text: text.to_owned(), leaks: Vec::new() };
        for needle in needles.iter().filter(|n| text.contains(&n.text)) {
            scanned.text = scanned.text.replace(&needle.text, "[redacted]");
            if !scanned.leaks.contains(&needle.name) {
                scanned.leaks.push(needle.name.clone());
            }
        }
        scanned
    }

    /// Adds a user for whom something is asked.
    pub fn add_user(&self, user: &str) {
        if !user.is_empty() {
            self.users.write().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned());
        }
    }

    /// The first user whom a text names.
    pub fn user_in(&self, text: &str) -> Option<String> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.iter().find(|user| text.contains(user.as_str())).cloned()
    }

    /// Whether a text holds a secret.
    pub fn found_in(&self, text: &str) -> bool {
        !self.scan(text).leaks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = "fcs-Zm9v: %+&=/ é9";
        let canaries = Canaries::default();
        canaries.add("client_secret", secret);
        canaries.add_basic("client_secret", "some-client", secret);
        let form = utf8_percent_encode(secret, FORM).to_string().replace("%20", "+");
        let texts = [
            format!("raw {secret} raw"),
            format!("client_secret={form}&x=y"),
            utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
            serde_json::json!({ "secret": secret }).to_string(),
            STANDARD.encode(format!("some-client:{secret}")),
            STANDARD.encode(format!("another:{secret} and more")),
            STANDARD.encode(format!("anothe:{secret} and more")),
            STANDARD.encode(format!("anoth:{secret} and more")),
            secret.bytes().map(|b| format!("{b:02x}")).collect::<String>(),
        ];
        for text in texts {
            let scanned = canaries.scan(&text);
            assert!(!scanned.leaks.is_empty(), "not found in {text}");
            assert!(canaries.scan(&scanned.text).leaks.is_empty(), "still there in {}", scanned.text);
        }
        assert!(canaries.scan("nothing of the kind").leaks.is_empty());
    }

    #[test]
    fn the_same_seed_makes_the_same_secrets() {
        assert_eq!(CanaryMaker::new(7).make("x-"), CanaryMaker::new(7).make("x-"));
        assert_ne!(CanaryMaker::new(7).make("x-"), CanaryMaker::new(8).make("x-"));
    }
}
