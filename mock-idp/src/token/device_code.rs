//! The device code grant (RFC 8628 §3.4, §3.5).

use super::{Granted, renewal};
use crate::answer::OAuthError;
use crate::client_auth::Authenticated;
use crate::service::Asked;
use crate::store::{Decision, Grantee};

/// What `slow_down` adds to the interval, in seconds.
const SLOWER: f64 = 5.0;

pub(super) fn grant(asked: &Asked<'_>, client: &Authenticated) -> Result<Granted, OAuthError> {
    let code = asked
        .call
        .param("device_code")
        .ok_or_else(|| OAuthError::invalid_request("device_code is missing"))?;
    let grantee = poll(asked, client, code)?;
    let refresh = renewal(asked, client, &grantee);
    Ok(Granted::new(grantee, refresh))
}

fn poll(asked: &Asked<'_>, client: &Authenticated, code: &str) -> Result<Grantee, OAuthError> {
    let now = asked.issuer.clock.now();
    let mut store = asked.issuer.store();
    let device = store
        .devices
        .get_mut(code)
        .ok_or_else(|| OAuthError::invalid_grant("the device code is not known"))?;
    if device.client_id != client.client_id {
        return Err(OAuthError::invalid_grant("the device code was issued to another client"));
    }
    if device.expires < now {
        return Err(OAuthError::new("expired_token", "the device code has expired"));
    }
    let last = device.last_poll.replace(now);
    // A tenth of a second is not the client's fault.
    if last.is_some_and(|last| now - last + 0.1 < device.interval) {
        device.interval += SLOWER;
        return Err(OAuthError::new("slow_down", format!("wait {} seconds between polls", device.interval)));
    }
    match device.decision.clone() {
        Decision::Pending => Err(OAuthError::new("authorization_pending", "nobody has confirmed it yet")),
        Decision::Denied => {
            store.devices.remove(code);
            Err(OAuthError::new("access_denied", "the user said no"))
        }
        Decision::Approved(grantee) => {
            store.devices.remove(code);
            Ok(*grantee)
        }
    }
}
