//! The endpoints of an issuer, and where they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a fault, a listener or a request is about; named as in the metadata (RFC 8414 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// The discovery document.
    Discovery,
    /// The key set.
    Jwks,
    /// The token endpoint.
    Token,
    /// The authorization endpoint and its login page.
    Authorization,
    /// OpenID Connect Core §5.3.
    Userinfo,
    /// RFC 7662.
    Introspection,
    /// RFC 7009.
    Revocation,
    /// RFC 8628 §3.1.
    DeviceAuthorization,
    /// The page at which a user confirms a device, RFC 8628 §3.3.
    DeviceVerification,
    /// RFC 9126.
    PushedAuthorization,
    /// RFC 7591.
    Registration,
    /// OpenID Connect RP-Initiated Logout 1.0.
    EndSession,
    /// Where a redirect fault leads: an address that nobody configured.
    Elsewhere,
    /// No endpoint.
    Other,
    /// All of them.
    Any,
}

impl Endpoint {
    /// Those that an issuer serves.
    pub const SERVED: [Self; 12] = [
        Self::Discovery,
        Self::Jwks,
        Self::Token,
        Self::Authorization,
        Self::Userinfo,
        Self::Introspection,
        Self::Revocation,
        Self::DeviceAuthorization,
        Self::DeviceVerification,
        Self::PushedAuthorization,
        Self::Registration,
        Self::EndSession,
    ];

    /// Its word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::Token => "token",
            Self::Authorization => "authorization",
            Self::Userinfo => "userinfo",
            Self::Introspection => "introspection",
            Self::Revocation => "revocation",
            Self::DeviceAuthorization => "device-authorization",
            Self::DeviceVerification => "device-verification",
            Self::PushedAuthorization => "pushed-authorization",
            Self::Registration => "registration",
            Self::EndSession => "end-session",
            Self::Elsewhere => "elsewhere",
            Self::Other => "other",
            Self::Any => "any",
        }
    }

    /// Only a browser goes there: its address is on the front channel.
    pub(crate) fn is_front(self) -> bool {
        matches!(self, Self::Authorization | Self::DeviceVerification | Self::EndSession)
    }
}

/// Appended to the issuer (OpenID Connect Discovery 1.0 §4).
pub(crate) const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
/// Put before the issuer's path (RFC 8414 §3.1).
pub(crate) const OAUTH_METADATA: &str = "/.well-known/oauth-authorization-server";

/// Paths of the endpoints, each appended to the root of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// What the issuer identifier has after its root, `/v2.0` for instance; discovery is below it.
    pub issuer: String,
    /// The key set.
    pub jwks: String,
    /// The token endpoint.
    pub token: String,
    /// The authorization endpoint.
    pub authorization: String,
    /// Userinfo.
    pub userinfo: String,
    /// Introspection.
    pub introspection: String,
    /// Revocation.
    pub revocation: String,
    /// Device authorization.
    pub device_authorization: String,
    /// The page for the user code.
    pub device_verification: String,
    /// Pushed authorization requests.
    pub pushed_authorization: String,
    /// Dynamic registration.
    pub registration: String,
    /// End of the session.
    pub end_session: String,
}

impl Default for Paths {
    fn default() -> Self {
        let path = str::to_owned;
        Self {
            issuer: String::new(),
            jwks: path("/jwks"),
            token: path("/oauth2/token"),
            authorization: path("/authorize"),
            userinfo: path("/userinfo"),
            introspection: path("/introspect"),
            revocation: path("/revoke"),
            device_authorization: path("/device_authorization"),
            device_verification: path("/device"),
            pushed_authorization: path("/par"),
            registration: path("/register"),
            end_session: path("/endsession"),
        }
    }
}

impl Paths {
    /// The path of an endpoint below the root; `None` if it is none that an issuer serves.
    pub fn of(&self, endpoint: Endpoint) -> Option<String> {
        let path = match endpoint {
            Endpoint::Discovery => return Some(format!("{}{OPENID_CONFIGURATION}", self.issuer)),
            Endpoint::Jwks => &self.jwks,
            Endpoint::Token => &self.token,
            Endpoint::Authorization => &self.authorization,
            Endpoint::Userinfo => &self.userinfo,
            Endpoint::Introspection => &self.introspection,
            Endpoint::Revocation => &self.revocation,
            Endpoint::DeviceAuthorization => &self.device_authorization,
            Endpoint::DeviceVerification => &self.device_verification,
            Endpoint::PushedAuthorization => &self.pushed_authorization,
            Endpoint::Registration => &self.registration,
            Endpoint::EndSession => &self.end_session,
            Endpoint::Elsewhere | Endpoint::Other | Endpoint::Any => return None,
        };
        Some(path.clone())
    }

    /// The endpoint at a path below a known root.
    pub(crate) fn endpoint(&self, below_root: &str) -> Option<Endpoint> {
        Endpoint::SERVED.into_iter().find(|e| self.of(*e).is_some_and(|path| path == below_root))
    }

    /// Root and endpoint of a path whose root is not known: the longest path of an endpoint that it ends in.
    pub(crate) fn split<'p>(&self, path: &'p str) -> Option<(&'p str, Endpoint)> {
        Endpoint::SERVED
            .into_iter()
            .filter_map(|e| Some((path.strip_suffix(self.of(e)?.as_str())?, e)))
            .min_by_key(|(root, _)| root.len())
    }
}

/// The path of an issuer for which metadata is asked at the origin (RFC 8414 §3.1, and §5 for OpenID's suffix).
pub(crate) fn metadata_of(path: &str) -> Option<&str> {
    let after = path.strip_prefix(OAUTH_METADATA).or_else(|| path.strip_prefix(OPENID_CONFIGURATION))?;
    (after.is_empty() || after.starts_with('/')).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_root_is_what_stands_before_the_longest_endpoint_path() {
        let paths = Paths::default();
        let check = |path, expected| assert_eq!(paths.split(path), expected, "{path}");
        check("/oauth2/token", Some(("", Endpoint::Token)));
        check("/a/b/oauth2/token", Some(("/a/b", Endpoint::Token)));
        check("/a/.well-known/openid-configuration", Some(("/a", Endpoint::Discovery)));
        check("/a/jwks", Some(("/a", Endpoint::Jwks)));
        check("/a/b", None);
    }

    #[test]
    fn metadata_is_found_before_the_path_too() {
        assert_eq!(metadata_of("/.well-known/oauth-authorization-server/a/b"), Some("/a/b"));
        assert_eq!(metadata_of("/.well-known/oauth-authorization-servers"), None);
    }
}
