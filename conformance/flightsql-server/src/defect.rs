//! Ways in which this server misjudges its callers on purpose, to prove that a suite for servers can fail.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Header};
use serde_json::{Map, Value};

/// An enum whose every value has a name on the command line and a sentence that describes it.
macro_rules! defects {
    ($($value:ident = $name:literal: $text:literal,)*) => {
        /// One way to misjudge a caller.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Defect {
            $(#[doc = $text] $value,)*
        }

        impl Defect {
            /// All of them, in reading order.
            pub const ALL: &'static [Self] = &[$(Self::$value,)*];

            /// The name on the command line, in kebab case.
            pub fn name(self) -> &'static str {
                match self { $(Self::$value => $name,)* }
            }

            /// One sentence: what it does.
            pub fn describe(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }
    };
}

defects! {
    RefusesEverybody = "refuses-everybody": "answers UNAUTHENTICATED to every call",
    ServesEverybody = "serves-everybody": "looks at no token and serves every call",
    NoSignatureCheck = "no-signature-check": "believes a token whatever its signature",
    NoAudienceCheck = "no-audience-check": "takes tokens for any audience",
    NoIssuerCheck = "no-issuer-check": "takes tokens of any issuer that its key signed",
    NoExpiryCheck = "no-expiry-check": "takes tokens that have expired",
    NoNotBeforeCheck = "no-not-before-check": "takes tokens before their time",
    AbsentClaimsAreFine = "absent-claims-are-fine": "takes tokens without exp, aud, iss or sub",
    GenerousLeeway = "generous-leeway": "lets the clocks differ by ten minutes, whatever it documents",
    AcceptsAlgNone = "accepts-alg-none": "takes a token whose algorithm is none",
    AcceptsHmacWithPublicKey = "accepts-hmac-with-public-key": "checks an HMAC with the public key as secret",
    AcceptsAnyTyp = "accepts-any-typ": "takes JWTs of every type for access tokens",
    IgnoresCrit = "ignores-crit": "passes over critical extensions that it does not know",
    AcceptsDoubledMembers = "accepts-doubled-members": "takes the last of two members of one name",
    FollowsJku = "follows-jku": "fetches the key from where the token says",
    UsesEmbeddedKey = "uses-embedded-key": "believes the key that the token brings",
    UnknownKeyIdIsAnyKey = "unknown-key-id-is-any-key": "tries the first key when it does not know the token's",
    FirstAudienceOnly = "first-audience-only": "looks at the first of a token's audiences only",
    WantsAScope = "wants-a-scope": "refuses tokens without a scope",
    LockedByBadTokens = "locked-by-bad-tokens": "lets nobody in any more once it has refused twenty calls",
    AcceptsOpaque = "accepts-opaque": "serves a token that is no JWT without asking anybody",
    FirstOfTwoValues = "first-of-two-values": "looks at the first of two authorization values only",
    LastOfTwoValues = "last-of-two-values": "looks at the last of two authorization values only",
    CaseSensitiveScheme = "case-sensitive-scheme": "knows the scheme as `Bearer` only",
    AnyScheme = "any-scheme": "takes a token behind any scheme",
    AsciiSubOnly = "ascii-sub-only": "refuses a token whose sub is not ASCII",
    TrustsUserHeaders = "trusts-user-headers": "takes a caller for the one that x-user-id names, without a token",
    ChecksQueriesOnly = "checks-queries-only": "looks at the token of GetFlightInfo and DoGet only",
    OpenDoGet = "open-do-get": "lets a DoGet in without a token, because its ticket came from a GetFlightInfo",
    RemembersVerdicts = "remembers-verdicts": "goes on taking a token that it took once",
    OutageIsUnauthenticated = "outage-is-unauthenticated": "answers UNAUTHENTICATED when it cannot ask the issuer",
    OutageOpensTheDoor = "outage-opens-the-door": "believes every token while it cannot ask the issuer",
    OutageIsForEver = "outage-is-for-ever": "never asks again an issuer that once failed",
    ForgetsKeysInAnOutage = "forgets-keys-in-an-outage": "asks for the keys each time and keeps none",
    NoFetchTimeout = "no-fetch-timeout": "waits for the issuer for ever",
    NeverRefetchesKeys = "never-refetches-keys": "asks for the keys once",
    RefetchesForEveryToken = "refetches-for-every-token": "asks for the keys whenever a key is unknown or the issuer failed",
    KeepsWithdrawnKeys = "keeps-withdrawn-keys": "goes on believing keys that the issuer has withdrawn",
    DiesOfAnOddToken = "dies-of-an-odd-token": "ends when it is shown something that is no JWT",
    TokenInLog = "token-in-log": "writes the tokens to its log",
}

impl std::str::FromStr for Defect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|defect| defect.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|defect| defect.name()).collect();
            format!("there is no defect `{name}`; there are {}", names.join(", "))
        })
    }
}

impl Defect {
    /// Whether it is this one.
    pub(crate) fn is(of: Option<Self>, this: Self) -> bool {
        of == Some(this)
    }
}

/// The secret of a signature that anybody can make.
pub(crate) const NOBODY: &[u8] = b"nobody";

/// The claims as they are, under a signature that holds: for defects that believe claims without one.
pub(crate) fn signed_by_nobody(claims: &Map<String, Value>) -> String {
    let key = EncodingKey::from_secret(NOBODY);
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap_or_default()
}

/// The PEM form of an RSA key taken as an HMAC's secret, as in RFC 8725 §2.1.
pub(crate) fn public_key_as_secret(key: &DecodingKey) -> Option<DecodingKey> {
    const RSA: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() else { return None };
    let pair = der(0x30, &[integer(n), integer(e)].concat());
    let bits = der(3, &[&[0], pair.as_slice()].concat());
    let text = STANDARD.encode(der(0x30, &[RSA, &bits].concat()));
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|l| std::str::from_utf8(l).ok()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    Some(DecodingKey::from_secret(pem.as_bytes()))
}

/// A value of DER: tag, length, content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 0x80 => out.push(short),
        (Ok(byte), _) => out.extend([0x81, byte]),
        (Err(_), Ok(two)) => {
            out.push(0x82);
            out.extend(two.to_be_bytes());
        }
        (Err(_), Err(_)) => unreachable!("no RSA key is so long"),
    }
    out.extend_from_slice(content);
    out
}

/// An integer of DER: never negative.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    der(2, &if negative { [&[0], bytes].concat() } else { bytes.to_vec() })
}

/// Writes where no secret belongs.
#[expect(clippy::print_stderr, reason = "it is the defect")]
pub(crate) fn log(text: &str) {
    eprintln!("checking the token {text}");
}
