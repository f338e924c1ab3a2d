//! The client credentials grant (RFC 6749 §4.4).

use super::{Granted, Renewal, audience, scope};
use crate::answer::OAuthError;
use crate::client_auth::Authenticated;
use crate::service::Asked;
use crate::store::Grantee;

pub(super) fn grant(asked: &Asked<'_>, client: &Authenticated) -> Result<Granted, OAuthError> {
    if client.is_public {
        return Err(OAuthError::invalid_client(
            "no client authentication; a public client cannot use this grant",
        ));
    }
    let scope = scope(asked, client)?;
    let audience = audience(asked.call)?;
    if asked.config.token.require_audience && audience.is_empty() {
        return Err(OAuthError::invalid_request("audience is missing"));
    }
    if let Some(suffix) = &asked.config.quirks.client_scope_suffix
        && !scope.as_deref().is_some_and(|s| s.ends_with(suffix.as_str()))
    {
        let text = format!(
            "The scope of a client credentials request has to be a resource with {suffix} behind it."
        );
        return Err(OAuthError::new("invalid_scope", text));
    }
    let audience = match (&asked.config.quirks.client_scope_suffix, scope.as_deref()) {
        // The scope names the resource.
        (Some(suffix), Some(scope)) if audience.is_empty() => {
            vec![scope.trim_end_matches(suffix.as_str()).to_owned()]
        }
        _ => audience,
    };
    let grantee = Grantee { client_id: client.client_id.clone(), scope, audience, ..Grantee::default() };
    // RFC 6749 §4.4.3: a refresh token should not be included.
    Ok(Granted::new(grantee, Renewal::None))
}
