//! Revocation (RFC 7009).

use http::StatusCode;

use crate::answer::{Answer, OAuthError};
use crate::client_auth;
use crate::service::Asked;
use crate::token::well_formed;

pub(crate) fn answer(asked: &Asked<'_>) -> Answer {
    match revoke(asked) {
        Ok(client) => {
            let mut answer = Answer::empty(StatusCode::OK).not_stored();
            answer.client = Some(client);
            answer
        }
        Err(error) => asked.refusal(&error),
    }
}

fn revoke(asked: &Asked<'_>) -> Result<String, OAuthError> {
    well_formed(asked.call)?;
    let client = client_auth::authenticate(asked)?;
    let token = asked.call.param("token").ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
    let mut store = asked.issuer.store();
    let others = || OAuthError::invalid_grant("the token was issued to another client");
    if let Some(known) = store.tokens.get_mut(token) {
        if known.grantee.client_id != client.client_id {
            return Err(others());
        }
        known.issued.revoked = true;
    } else if let Some(known) = store.refresh.get_mut(token) {
        if known.grantee.client_id != client.client_id {
            return Err(others());
        }
        known.revoked = true;
        // §2.1: access tokens of the same grant go, too.
        if let Some(family) = known.grantee.family {
            store.revoke_family(family);
        }
    }
    // §2.2: a token that is not known is as good as revoked.
    Ok(client.client_id)
}
