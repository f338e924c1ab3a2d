//! An issuer of a world, as a scenario wants it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mock_idp as idp;
use scenario_model::provider::Provider;
use scenario_model::scenario::{Alg, ClientAuth, Issuer, Required, Scheme, TokenForm};

use super::server::protocol;
use super::{AUDIENCE, Mutation, Shared, WorldError, WorldSpec, early_filling, first_secret};
use crate::render::SessionFacts;
use crate::run::faults;
use crate::run::translate::Translator;

#[expect(clippy::too_many_arguments, reason = "everything that an issuer of a world depends on")]
pub(super) fn issuer_config(
    shared: &Shared,
    name: &str,
    settings: &Issuer,
    lifetime: u64,
    spec: &WorldSpec,
    facts: &BTreeMap<String, SessionFacts>,
    translator: &Arc<Translator>,
    elsewhere: &[idp::OtherOrigin; 2],
) -> Result<idp::Config, WorldError> {
    let recorder = Mutation::issuer_recorder(shared.mutation, translator.clone());
    let mut config = idp::Config::new(shared.keys.clone(), recorder);
    config.name = name.to_owned();
    config.scheme = match settings.scheme {
        Scheme::Https => idp::Scheme::Https(match settings.tls_version {
            Some(version) => shared.ca.server_config_of(protocol(version), &[b"h2", b"http/1.1"]),
            None => shared.idp_tls.clone(),
        }),
        Scheme::Http => idp::Scheme::Http,
    };
    config.path.clone_from(&settings.path);
    let tls_fault = settings.fault.iter().any(|fault| fault.tls.is_some());
    config.listeners = if settings.own_ports || settings.stall.is_some() || tls_fault {
        idp::Listeners::PerEndpoint
    } else {
        idp::Listeners::Shared
    };
    match settings.profile {
        Some(provider) => like_provider(&mut config, provider, settings)?,
        None => {
            config.trailing_slash = settings.trailing_slash;
            config.quirks.token_on_another_host = settings.token_on_another_host;
            config.client_auth = match settings.client_auth {
                ClientAuth::Any => idp::ClientAuth::Any,
                ClientAuth::Basic => idp::ClientAuth::BasicOnly,
                ClientAuth::Post => idp::ClientAuth::PostOnly,
            };
            config.token.format = match settings.token {
                TokenForm::Jwt => idp::TokenFormat::Jwt,
                TokenForm::Opaque => idp::TokenFormat::Opaque,
            };
            config.token.alg = match settings.alg {
                Alg::RS256 => idp::Alg::Rs256,
                Alg::ES256 => idp::Alg::Es256,
            };
            config.token.lifetime = Duration::from_secs(Mutation::lifetime(shared.mutation, lifetime));
            config.token.audience = AUDIENCE.to_owned();
            config.token.require_audience = settings.require.contains(&Required::Audience);
            config.token.require_scope = settings.require.contains(&Required::Scope);
        }
    }
    // Two sessions of one client are one client.
    let secrets: BTreeMap<&str, &str> = spec
        .sessions
        .iter()
        .filter(|(_, issuer)| issuer == name)
        .map(|(session, _)| &facts[&session.id])
        .map(|facts| (facts.client_id.as_str(), facts.registered_secret.as_str()))
        .collect();
    let clients = secrets.into_iter().map(|(id, secret)| idp::Client {
        id: id.to_owned(),
        secret: idp::Secret::new(secret.to_owned()),
        ..idp::Client::default()
    });
    config.clients = idp::Clients::Registered(clients.collect());
    config.faults = faults::of_issuer(settings, &early_filling(elsewhere, first_secret(spec, name, facts)));
    Ok(config)
}

/// What only a resource server has to cope with: a token without `aud` is no matter of a client.
const OF_THE_RESOURCE_SERVER: [(Provider, &str); 1] = [(Provider::Cognito, "no-aud")];

fn like_provider(config: &mut idp::Config, provider: Provider, settings: &Issuer) -> Result<(), WorldError> {
    let left_out = OF_THE_RESOURCE_SERVER.iter().filter(|(of, _)| *of == provider).map(|(_, quirk)| *quirk);
    let without: Vec<String> =
        settings.without.iter().map(|quirk| quirk.as_str()).chain(left_out).map(str::to_owned).collect();
    idp::file::like_provider(config, provider.as_str(), &without)?;
    if config.token.audience == idp::TokenConfig::default().audience {
        config.token.audience = AUDIENCE.to_owned();
    }
    if settings.path.is_empty() {
        let example =
            idp::profile::find(provider.as_str()).map_err(idp::file::ConfigError::from)?.example_issuer;
        let suffix = &config.paths.issuer;
        config.path = example.strip_suffix(suffix.as_str()).unwrap_or(&example).to_owned();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_of_a_scenario_has_a_profile() {
        for provider in Provider::ALL {
            let mut config = idp::Config::default();
            let result = like_provider(&mut config, provider, &Issuer::default());
            result.unwrap_or_else(|e| panic!("{}: {e}", provider.as_str()));
        }
    }
}
