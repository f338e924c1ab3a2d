//! Arguments that hold several values: tables, users, issuers, faults.

use std::path::PathBuf;
use std::time::Duration;

use flightsql_server::{Algorithm, Code, Fault, FaultKind, Method, Moment, Secret, TrustedIssuer};

use super::ProgramError;

fn usage(text: impl Into<String>) -> ProgramError {
    ProgramError::Usage(text.into())
}

/// `[NAME=]PATH`; without a name, that of the file.
pub fn table(text: &str) -> Result<(String, PathBuf), ProgramError> {
    if let Some((name, path)) = text.split_once('=') {
        if name.is_empty() || path.is_empty() {
            return Err(usage(format!("`{text}` is no table; write NAME=PATH or PATH")));
        }
        return Ok((name.to_owned(), path.into()));
    }
    let path = PathBuf::from(text);
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    name.map(|name| (name, path)).ok_or_else(|| usage(format!("`{text}` has no name; write NAME={text}")))
}

/// `NAME:PASSWORD`. The text is a secret: no error repeats it.
pub fn user(text: &str) -> Result<(String, Secret), ProgramError> {
    match text.split_once(':') {
        Some((name, password)) if !name.is_empty() => Ok((name.to_owned(), Secret::new(password))),
        _ => Err(usage("a --user is not NAME:PASSWORD")),
    }
}

/// `URL,audience=AUD..`: one trusted issuer for each audience.
pub fn issuer(text: &str) -> Result<Vec<TrustedIssuer>, ProgramError> {
    let mut parts = text.split(',');
    let issuer = parts.next().unwrap_or_default().to_owned();
    checked_url(&issuer)?;
    let (mut audiences, mut algorithms, mut leeway) = (Vec::new(), Vec::new(), Duration::ZERO);
    let mut discovery = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    for part in parts {
        match part.split_once('=') {
            Some(("audience", value)) => audiences.push(value.to_owned()),
            Some(("algorithm", value)) => algorithms.push(algorithm(value)?),
            Some(("leeway", value)) => leeway = Duration::from_secs(number(part, value)?),
            Some(("discovery", value)) => discovery = checked_url(value)?,
            _ => return Err(unknown(part, &["audience=", "algorithm=", "leeway=", "discovery="])),
        }
    }
    if audiences.is_empty() {
        return Err(usage(format!("issuer `{issuer}`: say for whom its tokens must be: `{issuer},audience=..`")));
    }
    if algorithms.is_empty() {
        algorithms = vec![Algorithm::RS256, Algorithm::ES256];
    }
    let one = |audience| TrustedIssuer {
        issuer: issuer.clone(),
        discovery_url: discovery.clone(),
        audience,
        algorithms: algorithms.clone(),
        leeway,
    };
    Ok(audiences.into_iter().map(one).collect())
}

/// Keys are only as good as the way they come: https, or this machine.
fn checked_url(text: &str) -> Result<String, ProgramError> {
    let url = url::Url::parse(text).map_err(|error| usage(format!("`{text}` is no URL of an issuer: {error}")))?;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if loopback => Ok(text.to_owned()),
        "http" => Err(usage(format!("`{text}` is not on this machine and has no TLS; use https"))),
        other => Err(usage(format!("`{text}` is no URL of an issuer: `{other}` is neither https nor http"))),
    }
}

fn algorithm(word: &str) -> Result<Algorithm, ProgramError> {
    use Algorithm as A;
    let all = [A::RS256, A::RS384, A::RS512, A::PS256, A::PS384, A::PS512, A::ES256, A::ES384, A::EdDSA];
    let found = all.iter().copied().find(|algorithm| format!("{algorithm:?}") == word);
    // Symmetric ones would let anybody who can check tokens make them (RFC 8725 §2.1).
    let names: Vec<String> = all.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    found.ok_or_else(|| usage(format!("algorithm `{word}` is not taken; there are {}", names.join(", "))))
}

/// `kind=KIND,..`.
pub fn fault(text: &str) -> Result<Fault, ProgramError> {
    let mut fields = Fields::read(text)?;
    let kind = kind(&mut fields)?;
    let fault = Fault {
        method: fields.take("method").map(|word| method(&word)).transpose()?,
        command: fields.take("command"),
        principal: fields.take("principal"),
        credential: fields.take("token").map(Secret::new),
        after: fields.number("after")?.unwrap_or(0),
        times: fields.number("times")?,
        only_statements: fields.take("only").map(|word| only(&word)).transpose()?.unwrap_or(false),
        ..Fault::new(kind)
    };
    fields.end()?;
    Ok(fault)
}

fn kind(fields: &mut Fields) -> Result<FaultKind, ProgramError> {
    const KINDS: [&str; 11] = [
        "status", "silence", "delay", "slow", "stall", "reset", "disconnect", "go-away", "header", "no-token",
        "wrong-token",
    ];
    let word = fields.need("kind")?;
    Ok(match word.as_str() {
        "status" => FaultKind::Status {
            code: code(&fields.need("code")?)?,
            message: fields.take("message").unwrap_or_else(|| "a fault was asked for".to_owned()),
            at: moment(fields)?,
        },
        "silence" => FaultKind::Silence,
        "delay" => FaultKind::Delay(fields.millis()?),
        "slow" => FaultKind::Slow(fields.millis()?),
        "stall" => FaultKind::Stall(moment(fields)?),
        "reset" => FaultKind::Reset(moment(fields)?),
        "disconnect" => FaultKind::Disconnect(moment(fields)?),
        "go-away" => FaultKind::GoAway,
        "header" => {
            let name = fields.need("name")?;
            let value = match fields.number("bytes")? {
                Some(bytes) => "x".repeat(bytes as usize),
                None => fields.need("value")?,
            };
            FaultKind::Headers(vec![(name, value)])
        }
        "no-token" => FaultKind::NoToken,
        "wrong-token" => FaultKind::WrongToken(Secret::new(fields.need("value")?)),
        _ => return Err(unknown(&word, &KINDS)),
    })
}

fn moment(fields: &mut Fields) -> Result<Moment, ProgramError> {
    match fields.take("at").as_deref() {
        None | Some("before-schema") => Ok(Moment::BeforeSchema),
        Some("after-schema") => Ok(Moment::AfterSchema),
        Some("mid-stream") => Ok(Moment::MidStream),
        Some(other) => Err(unknown(other, &["before-schema", "after-schema", "mid-stream"])),
    }
}

fn method(word: &str) -> Result<Method, ProgramError> {
    match word {
        "Handshake" => Ok(Method::Handshake),
        "GetFlightInfo" => Ok(Method::GetFlightInfo),
        "DoGet" => Ok(Method::DoGet),
        "DoPut" => Ok(Method::DoPut),
        "DoAction" => Ok(Method::DoAction),
        _ => Err(unknown(word, &["Handshake", "GetFlightInfo", "DoGet", "DoPut", "DoAction"])),
    }
}

fn only(word: &str) -> Result<bool, ProgramError> {
    match word {
        "statements" => Ok(true),
        _ => Err(unknown(word, &["statements"])),
    }
}

fn code(word: &str) -> Result<Code, ProgramError> {
    const CODES: [(&str, Code); 16] = [
        ("CANCELLED", Code::Cancelled),
        ("UNKNOWN", Code::Unknown),
        ("INVALID_ARGUMENT", Code::InvalidArgument),
        ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
        ("NOT_FOUND", Code::NotFound),
        ("ALREADY_EXISTS", Code::AlreadyExists),
        ("PERMISSION_DENIED", Code::PermissionDenied),
        ("RESOURCE_EXHAUSTED", Code::ResourceExhausted),
        ("FAILED_PRECONDITION", Code::FailedPrecondition),
        ("ABORTED", Code::Aborted),
        ("OUT_OF_RANGE", Code::OutOfRange),
        ("UNIMPLEMENTED", Code::Unimplemented),
        ("INTERNAL", Code::Internal),
        ("UNAVAILABLE", Code::Unavailable),
        ("DATA_LOSS", Code::DataLoss),
        ("UNAUTHENTICATED", Code::Unauthenticated),
    ];
    let found = CODES.iter().find(|(name, _)| *name == word).map(|(_, code)| *code);
    found.ok_or_else(|| unknown(word, &CODES.map(|(name, _)| name)))
}

fn number<T: std::str::FromStr>(part: &str, value: &str) -> Result<T, ProgramError> {
    value.parse().map_err(|_| usage(format!("`{part}`: `{value}` is no number, or too large")))
}

fn unknown(word: &str, known: &[&str]) -> ProgramError {
    usage(format!("`{word}` is not known here; there are {}", known.join(", ")))
}

/// Values by name, each used once.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(text: &str) -> Result<Self, ProgramError> {
        let one = |part: &str| match part.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(usage(format!("`{part}` in fault `{text}` is not NAME=VALUE"))),
        };
        text.split(',').map(one).collect::<Result<_, _>>().map(Self)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    fn need(&mut self, name: &str) -> Result<String, ProgramError> {
        self.take(name).ok_or_else(|| usage(format!("the fault needs `{name}=`")))
    }

    fn number(&mut self, name: &str) -> Result<Option<u32>, ProgramError> {
        self.take(name).map(|value| number(name, &value)).transpose()
    }

    fn millis(&mut self) -> Result<Duration, ProgramError> {
        let value = self.need("ms")?;
        Ok(Duration::from_millis(number("ms", &value)?))
    }

    fn end(self) -> Result<(), ProgramError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(usage(format!("`{name}=` has no place in this fault, or is there twice"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T>(read: Result<T, ProgramError>, expected: &str) {
        let said = read.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{said}");
    }

    #[test]
    fn issuers_are_checked() {
        check(issuer("https://i.example,audience=a,algorithm=ES256,leeway=30"), "");
        check(issuer("http://127.0.0.1:8080,audience=a"), "");
        check(issuer("http://i.example,audience=a"), "has no TLS");
        check(issuer("i.example,audience=a"), "no URL");
        check(issuer("https://i.example"), "audience=");
        check(issuer("https://i.example,audience=a,algorithm=HS256"), "`HS256` is not taken");
        check(issuer("https://i.example,audience=a,leeway=soon"), "no number");
        check(issuer("https://i.example,aud=a"), "not known here");
    }

    #[test]
    fn faults_are_checked() {
        check(fault("kind=status,code=UNAVAILABLE,method=DoGet,at=mid-stream,after=1,times=2"), "");
        check(fault("kind=slow,ms=100,only=statements"), "");
        check(fault("kind=status"), "needs `code=`");
        check(fault("kind=status,code=BROKEN"), "`BROKEN` is not known here");
        check(fault("kind=slow,ms=-1"), "no number");
        check(fault("kind=silence,at=mid-stream"), "has no place");
        check(fault("silence"), "not NAME=VALUE");
    }

    #[test]
    fn a_wrong_user_is_not_repeated() {
        let said = user("secret-without-colon").unwrap_err().to_string();
        assert!(!said.contains("secret-without"), "{said}");
    }
}
