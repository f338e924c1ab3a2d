//! The refresh token grant (RFC 6749 §6), with rotation and the detection of replays (RFC 9700 §4.14.2).

use super::{Granted, Renewal, audience};
use crate::answer::OAuthError;
use crate::client_auth::Authenticated;
use crate::fault::FaultKind;
use crate::service::Asked;
use crate::store::Grantee;

pub(super) fn grant(asked: &Asked<'_>, client: &Authenticated) -> Result<Granted, OAuthError> {
    let token = asked
        .call
        .param("refresh_token")
        .ok_or_else(|| OAuthError::invalid_request("refresh_token is missing"))?
        .to_owned();
    let mut grantee = renewed(asked, client, &token)?;
    if let Some(scope) = asked.call.param("scope") {
        let within = scope.split(' ').all(|s| grantee.has_scope(s));
        if !within {
            return Err(OAuthError::new("invalid_scope", "more scopes than were granted"));
        }
        grantee.scope = Some(scope.to_owned());
    }
    let narrower = audience(asked.call)?;
    if !narrower.is_empty() {
        grantee.audience = narrower;
    }
    // OpenID Connect Core 1.0 §12.2: a renewed ID token should have no nonce.
    grantee.nonce = None;
    let renewal =
        if asked.config.protocol.rotate_refresh_tokens { Renewal::New } else { Renewal::Same(token) };
    Ok(Granted::new(grantee, renewal))
}

fn renewed(asked: &Asked<'_>, client: &Authenticated, token: &str) -> Result<Grantee, OAuthError> {
    let wrong = OAuthError::invalid_grant;
    let now = asked.issuer.clock.now();
    let rotates = asked.config.protocol.rotate_refresh_tokens;
    let replay_allowed = asked.hits.any(|k| *k == FaultKind::RefreshReplayAccepted);
    let mut store = asked.issuer.store();
    let known = store.refresh.get_mut(token).ok_or_else(|| wrong("the refresh token is not known"))?;
    if known.grantee.client_id != client.client_id {
        return Err(wrong("the refresh token was issued to another client"));
    }
    if known.revoked {
        return Err(wrong("the refresh token is revoked"));
    }
    if known.expires < now {
        return Err(wrong("the refresh token has expired"));
    }
    // RFC 9449 §5: its credentials bind the refresh token to a confidential client, whose key may change.
    if let Some(("jkt", bound)) = &known.grantee.confirmation
        && client.is_public
        && client.proven_key.as_ref() != Some(bound)
    {
        return Err(OAuthError::new("invalid_dpop_proof", "the refresh token is bound to another key"));
    }
    let grantee = known.grantee.clone();
    if known.spent && !replay_allowed {
        if let Some(family) = grantee.family {
            store.revoke_family(family);
        }
        return Err(wrong("the refresh token was used before; its whole family is revoked"));
    }
    known.spent = rotates;
    Ok(grantee)
}
