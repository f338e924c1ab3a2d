//! An access token and the question whether it is still fresh.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use crate::secret::Secret;

/// An access token with the time that it is good for, measured from before it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) value: Secret,
    pub(crate) asked_at: Instant,
    pub(crate) lifetime: Duration,
}

/// What to do with a cached token at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    /// Renew it; until this moment the old one may still be used if the issuer does not answer.
    Due {
        usable_until: Instant,
    },
    Expired,
}

impl Token {
    /// The state at `now` with this renewal skew.
    pub(crate) fn freshness(&self, now: Instant, skew: Duration) -> Freshness {
        let end = self.asked_at + self.lifetime;
        let remaining = end.saturating_duration_since(now);
        if remaining > skew {
            return Freshness::Fresh;
        }
        match remaining.checked_sub(MARGIN).filter(|left| !left.is_zero()) {
            Some(left) => Freshness::Due { usable_until: now + left },
            None => Freshness::Expired,
        }
    }
}

/// The life that a token must have left to be used although a newer one was wanted.
const MARGIN: Duration = Duration::from_secs(1);

/// Times of a JWT, in seconds from now on the own clock.
pub(crate) struct Times {
    pub(crate) issued_in: f64,
    pub(crate) expires_in: f64,
}

/// What a token says of its times; only defects ask.
#[expect(clippy::disallowed_methods, reason = "the defects that read a token compare it with the own clock")]
pub(crate) fn times_of(token: &str) -> Option<Times> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    Some(Times { issued_in: claims["iat"].as_f64()? - now, expires_in: claims["exp"].as_f64()? - now })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Behaviour, Defect, Variant};

    fn check(behaviour: Behaviour, lifetime: u64, after_ms: u64, fresh: bool) {
        let asked_at = Instant::now();
        let lifetime = Duration::from_secs(lifetime);
        let token = Token { value: Secret::new("t"), asked_at, lifetime };
        let found = token.freshness(asked_at + Duration::from_millis(after_ms), behaviour.skew(lifetime));
        assert_eq!(
            found == Freshness::Fresh,
            fresh,
            "{behaviour:?}, {lifetime:?} after {after_ms} ms: {found:?}"
        );
    }

    #[tokio::test]
    async fn renewal_is_due_five_seconds_or_half_the_lifetime_before_the_end() {
        let correct = Behaviour::default();
        check(correct, 3600, 3_594_900, true);
        check(correct, 3600, 3_595_000, false);
        check(correct, 4, 1_900, true);
        check(correct, 4, 2_000, false);
    }

    #[tokio::test]
    async fn variants_keep_the_cap_of_half_the_lifetime_and_defects_do_not() {
        check(Behaviour::with_variant(Variant::Skew60s), 10, 4_900, true);
        check(Behaviour::with_variant(Variant::Skew60s), 600, 541_000, false);
        check(Behaviour::with_variant(Variant::Skew2s), 600, 597_900, true);
        check(Behaviour::with_defect(Defect::LoopsBelowSkew), 4, 1, false);
        check(Behaviour::with_defect(Defect::NoSkew), 4, 3_999, true);
        check(Behaviour::with_defect(Defect::ThinSkew), 4, 3_700, true);
    }

    #[tokio::test]
    async fn a_due_token_is_usable_until_a_second_before_its_end() {
        let asked_at = Instant::now();
        let token = Token { value: Secret::new("t"), asked_at, lifetime: Duration::from_secs(10) };
        let skew = Duration::from_secs(5);
        let at = |seconds| asked_at + Duration::from_secs(seconds);
        assert_eq!(token.freshness(at(6), skew), Freshness::Due { usable_until: at(9) });
        assert_eq!(token.freshness(at(9), skew), Freshness::Expired);
        assert_eq!(token.freshness(at(99), skew), Freshness::Expired);
    }
}
