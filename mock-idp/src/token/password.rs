//! The password grant (RFC 6749 §4.3), off unless asked for.

use super::{Granted, audience, renewal, scope};
use crate::answer::OAuthError;
use crate::client_auth::Authenticated;
use crate::login;
use crate::service::Asked;
use crate::store::Grantee;

pub(super) fn grant(asked: &Asked<'_>, client: &Authenticated) -> Result<Granted, OAuthError> {
    let missing = |name: &str| OAuthError::invalid_request(format!("{name} is missing"));
    let name = asked.call.param("username").ok_or_else(|| missing("username"))?;
    let password = asked.call.param("password").ok_or_else(|| missing("password"))?;
    let user = login::user(asked.config, name, password)
        .ok_or_else(|| OAuthError::invalid_grant("user name or password is wrong"))?;
    let family = asked.issuer.store().new_family();
    let grantee = Grantee {
        client_id: client.client_id.clone(),
        sub: Some(user.sub),
        user_claims: user.claims,
        scope: scope(asked, client)?,
        audience: audience(asked.call)?,
        auth_time: Some(asked.issuer.clock.seconds()),
        family: Some(family),
        ..Grantee::default()
    };
    let refresh = renewal(asked, client, &grantee);
    Ok(Granted::new(grantee, refresh))
}
