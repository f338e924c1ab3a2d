//! What the parameters of a fault may be: whatever is let in here can be carried out without a surprise.

use http::{HeaderName, HeaderValue};

use super::{FaultKind, FaultRequestError};

/// More than a century: a date so far ahead can still be written (RFC 9110 §5.6.7 has years of four digits).
const SECONDS: u64 = u32::MAX as u64;
const LONGEST_TOKEN: u32 = 1 << 20;
const DEEPEST: u32 = 1_000_000;

fn range(fine: bool, member: &'static str, range: &'static str) -> Result<(), FaultRequestError> {
    if fine { Ok(()) } else { Err(FaultRequestError::Range { member, range }) }
}

/// Refuses what cannot be done.
pub(super) fn check(kind: &FaultKind) -> Result<(), FaultRequestError> {
    let status = |status: u16| range((100..600).contains(&status), "status", "from 100 to 599");
    let fraction = |part: f64| range((0.0..=1.0).contains(&part), "fraction", "from 0 to 1");
    match kind {
        FaultKind::Respond { status: of, headers, .. } => {
            status(*of)?;
            headers.iter().try_for_each(|(name, value)| header(name, value))
        }
        FaultKind::Headers { set, remove } => {
            set.iter().try_for_each(|(name, value)| header(name, value))?;
            remove.iter().try_for_each(|name| header(name, ""))
        }
        FaultKind::ContentType { content_type } => header("content-type", content_type),
        FaultKind::RetryAfter { status: of, seconds: after, .. } => {
            status(*of)?;
            range(*after <= SECONDS, "seconds", "from 0 to 4294967295")
        }
        FaultKind::Redirect { status: of, location } => {
            status(*of)?;
            header("location", location)
        }
        FaultKind::Status { status: of }
        | FaultKind::RedirectLoop { status: of }
        | FaultKind::RedirectElsewhere { status: of }
        | FaultKind::RedirectSameOrigin { status: of }
        | FaultKind::RedirectDowngrade { status: of }
        | FaultKind::Echo { status: of }
        | FaultKind::OauthError { status: Some(of), .. } => status(*of),
        FaultKind::CutDocument { fraction: of }
        | FaultKind::ResetMidBody { fraction: of }
        | FaultKind::Truncate { fraction: of } => fraction(*of),
        FaultKind::DeepNesting { depth } => range(*depth <= DEEPEST, "depth", "from 0 to 1000000"),
        FaultKind::Delay { ms, jitter_ms } => {
            range(*ms <= SECONDS, "ms", "from 0 to 4294967295")?;
            range(*jitter_ms <= SECONDS, "jitter_ms", "from 0 to 4294967295")
        }
        FaultKind::SlowHeaders { bytes_per_second } | FaultKind::SlowBody { bytes_per_second } => {
            range(*bytes_per_second > 0, "bytes_per_second", "1 or more")
        }
        FaultKind::Barrier { parties: Some(parties) } => range(*parties > 0, "parties", "1 or more"),
        FaultKind::ExpiredToken { by, .. } | FaultKind::FutureToken { by, .. } => {
            range(*by <= SECONDS, "by", "from 0 to 4294967295")
        }
        FaultKind::LongToken { bytes } => range(*bytes <= LONGEST_TOKEN, "bytes", "from 0 to 1048576"),
        // The others have nothing that could be out of range.
        _ => Ok(()),
    }
}

fn header(name: &str, value: &str) -> Result<(), FaultRequestError> {
    let wrong = |problem| Err(FaultRequestError::Header { name: name.to_owned(), problem });
    if HeaderName::try_from(name).is_err() {
        return wrong("is no name of a header");
    }
    if HeaderValue::try_from(value).is_err() {
        return wrong("has a value that no header may carry");
    }
    Ok(())
}
