//! The authorization code grant (RFC 6749 §4.1.3) with PKCE (RFC 7636 §4.6).

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::{Granted, audience, renewal};
use crate::answer::OAuthError;
use crate::client_auth::Authenticated;
use crate::fault::FaultKind;
use crate::jwt::sha256;
use crate::service::Asked;
use crate::store::{Challenge, Code};

pub(super) fn grant(asked: &Asked<'_>, client: &Authenticated) -> Result<Granted, OAuthError> {
    let code =
        asked.call.param("code").ok_or_else(|| OAuthError::invalid_request("code is missing"))?.to_owned();
    let mut grantee = redeem(asked, client, &code)?;
    let narrower = audience(asked.call)?;
    if !narrower.is_empty() {
        let granted = grantee.audience.is_empty() || narrower.iter().all(|a| grantee.audience.contains(a));
        if !granted {
            return Err(OAuthError::new("invalid_target", "the code was not issued for this resource"));
        }
        grantee.audience = narrower;
    }
    if asked.hits.any(|k| *k == FaultKind::ReducedScope) {
        grantee.scope = grantee.scope.and_then(|s| s.split(' ').next().map(str::to_owned));
    }
    let refresh = renewal(asked, client, &grantee);
    let mut granted = Granted::new(grantee, refresh);
    granted.code = Some(code);
    Ok(granted)
}

/// Spends a code. What is wrong with the request spends it, too, so that nobody may guess.
fn redeem(
    asked: &Asked<'_>,
    client: &Authenticated,
    code: &str,
) -> Result<crate::store::Grantee, OAuthError> {
    let now = asked.issuer.clock.now();
    let mut store = asked.issuer.store();
    let wrong = OAuthError::invalid_grant;
    let known = store.codes.get_mut(code).ok_or_else(|| wrong("the code is not known"))?;
    if known.grantee.client_id != client.client_id {
        return Err(wrong("the code was issued to another client"));
    }
    let replay_allowed = asked.hits.any(|k| *k == FaultKind::CodeReplayAccepted);
    let was_spent = std::mem::replace(&mut known.spent, true);
    let known = known.clone();
    if was_spent && !replay_allowed {
        // RFC 6749 §4.1.2: what was issued for it should fall.
        if let Some(family) = known.grantee.family {
            store.revoke_family(family);
        }
        return Err(wrong("the code was used before; what was issued for it is revoked"));
    }
    drop(store);
    if known.expires < now {
        return Err(wrong("the code has expired"));
    }
    redirect_fits(asked, &known)?;
    verifier_fits(asked, client, known.challenge.as_ref())?;
    if known.dpop_jkt.is_some() && known.dpop_jkt != client.proven_key {
        return Err(wrong("the code is bound to another key"));
    }
    Ok(known.grantee)
}

fn redirect_fits(asked: &Asked<'_>, code: &Code) -> Result<(), OAuthError> {
    match asked.call.param("redirect_uri") {
        Some(uri) if uri == code.redirect_uri => Ok(()),
        Some(_) => Err(OAuthError::invalid_grant("redirect_uri is not the one that the code was sent to")),
        None if code.redirect_uri_was_sent => Err(OAuthError::invalid_grant("redirect_uri is missing")),
        None => Ok(()),
    }
}

fn verifier_fits(
    asked: &Asked<'_>,
    client: &Authenticated,
    challenge: Option<&Challenge>,
) -> Result<(), OAuthError> {
    if asked.hits.any(|k| *k == FaultKind::PkceIgnored) {
        return Ok(());
    }
    let verifier = asked.call.param("code_verifier");
    match (challenge, verifier) {
        (None, None) if client.is_public && asked.config.protocol.require_pkce => {
            Err(OAuthError::invalid_grant("a public client has to use PKCE"))
        }
        (None, None) => Ok(()),
        // RFC 9700 §2.1.1: or PKCE could be taken away by who controls the browser.
        (None, Some(_)) => Err(OAuthError::invalid_grant("code_verifier, but the code has no challenge")),
        (Some(_), None) => Err(OAuthError::invalid_grant("code_verifier is missing")),
        (Some(challenge), Some(verifier)) => {
            let made = if challenge.hashed { sha256(verifier.as_bytes()) } else { verifier.to_owned() };
            let same = verify_slices_are_equal(made.as_bytes(), challenge.value.as_bytes()).is_ok();
            if same {
                Ok(())
            } else {
                Err(OAuthError::invalid_grant("code_verifier does not fit the challenge"))
            }
        }
    }
}
