//! Faults, clocks, keys, issuers.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Order, Outcome, Refused, created, ok};
use crate::answer::Answer;
use crate::clock::{ClockChange, ClockReading};
use crate::config::{Alg, Listeners};
use crate::endpoint::Endpoint;
use crate::fault::{Fault, FaultKind, FaultRequest, FaultRequestError, Stall, StandingFault};
use crate::host::is_root;
use crate::issuer::{Issuer, random};
use crate::profile;

/// How long a throw-away issuer lives if nobody says so, in seconds.
const LIFETIME: f64 = 600.0;

/// How a mock stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Status {
    /// Version of the program.
    pub(crate) version: String,
    /// Scheme, host and port.
    pub(crate) origin: String,
    /// Issuers by path.
    pub(crate) issuers: Vec<IssuerStatus>,
    /// How many faults stand.
    pub(crate) faults: usize,
}

/// How an issuer stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct IssuerStatus {
    /// Its path; `/` for the one without.
    pub(crate) path: String,
    /// Its identifier.
    pub(crate) issuer: String,
    /// Where its discovery document is.
    pub(crate) discovery: String,
    /// Where its authorization endpoint is.
    pub(crate) authorization: String,
    /// Where its token endpoint is.
    pub(crate) token: String,
    /// Where the page for device codes is.
    pub(crate) device: String,
    /// Its clock.
    pub(crate) clock: ClockReading,
    /// Seconds until it is gone, if it is a throw-away issuer.
    pub(crate) expires_in: Option<f64>,
}

fn status_of(order: &Order<'_>, issuer: &Issuer) -> IssuerStatus {
    let config = issuer.config();
    let place = order.host.place(issuer, &config, order.named.as_deref());
    let url = |endpoint| place.url(endpoint, &config);
    IssuerStatus {
        path: if issuer.root.is_empty() { "/".to_owned() } else { issuer.root.clone() },
        issuer: place.published.clone(),
        discovery: url(Endpoint::Discovery),
        authorization: url(Endpoint::Authorization),
        token: url(Endpoint::Token),
        device: url(Endpoint::DeviceVerification),
        clock: issuer.clock.reading(),
        expires_in: issuer.ends.map(|e| e.saturating_duration_since(Instant::now()).as_secs_f64()),
    }
}

pub(super) fn status(order: &Order<'_>) -> Outcome {
    ok(&Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        origin: order.host.origin(),
        issuers: order.host.all().iter().map(|i| status_of(order, i)).collect(),
        faults: order.host.faults.list().len(),
    })
}

pub(super) fn set_fault(order: &Order<'_>) -> Outcome {
    if order.has_list() {
        return Err(Refused::bad(FaultRequestError::Missing.to_string()));
    }
    let request: FaultRequest = order.json()?;
    set(order, &request)
}

fn set(order: &Order<'_>, request: &FaultRequest) -> Outcome {
    let fault = request.resolve().map_err(|e| Refused::bad(e.to_string()))?;
    if matches!(fault.kind, FaultKind::Tls(_)) && order.host.origins.scheme != "https" {
        return Err(Refused::bad("this mock speaks plain HTTP: start it with `--tls` for faults of TLS"));
    }
    if matches!(fault.kind, FaultKind::Tls(_)) && order.host.ca_pem.is_none() {
        return Err(Refused::bad(
            "faults of TLS need the throw-away CA: start with `--tls` and no certificate",
        ));
    }
    let clock = match &fault.scope.issuer {
        Some(path) => order.issuer(Some(path))?.clock.now(),
        None => order.host.home().clock.now(),
    };
    let warning = warning(order, &fault);
    let id = order.host.faults.add(fault, clock);
    let standing = order.host.faults.list().into_iter().find(|f| f.id == id);
    let standing = standing.map(|s| StandingFault { warning, ..s });
    created(&serde_json::to_value(standing).unwrap_or_default())
}

/// What whoever sets it should know: a port that takes no connections takes none for `/_mock`, either.
fn warning(order: &Order<'_>, fault: &Fault) -> Option<String> {
    let shut = matches!(fault.kind, FaultKind::Refused | FaultKind::Stall(Stall::SynBlackhole));
    let only_port =
        order.host.home().config().listeners == Listeners::Shared || fault.endpoint == Endpoint::Any;
    if !shut || !only_port || order.by_admin_port {
        return None;
    }
    let long = fault.scope.lifetime.map_or_else(
        || "until the mock is restarted".to_owned(),
        |l| format!("for {} seconds (`lifetime`)", l.as_secs_f64()),
    );
    Some(format!(
        "this also closes `/_mock` on this port, {long}; start with `--admin-port` to remove it earlier"
    ))
}

/// A barrier as it is asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BarrierRequest {
    /// So many answers let each other go; only a release does if absent.
    parties: Option<u32>,
    /// Where; the token endpoint if absent.
    endpoint: Option<Endpoint>,
    /// Only for the issuer with this path.
    issuer: Option<String>,
    /// Only for this client.
    client: Option<String>,
    /// Only for this grant.
    grant: Option<String>,
    /// Seconds of true time after which it is gone.
    lifetime: Option<f64>,
}

pub(super) fn set_barrier(order: &Order<'_>) -> Outcome {
    let barrier: BarrierRequest = order.json()?;
    let request = FaultRequest {
        fault: "barrier".to_owned(),
        with: Some(json!({ "parties": barrier.parties })),
        endpoint: barrier.endpoint,
        issuer: barrier.issuer,
        client: barrier.client,
        grant: barrier.grant,
        lifetime: barrier.lifetime,
        ..FaultRequest::default()
    };
    set(order, &request)
}

pub(super) fn clear_faults(order: &Order<'_>) -> Outcome {
    match order.param("issuer") {
        Some(path) => order.host.faults.clear_issuer(path.trim_end_matches('/')),
        None => order.host.faults.clear(),
    }
    ok(&order.host.faults.list())
}

pub(super) fn remove_fault(order: &Order<'_>, id: &str) -> Outcome {
    match order.host.faults.remove(id) {
        true => ok(&order.host.faults.list()),
        false => Err(Refused::unknown(format!("no fault stands under `{id}`"))),
    }
}

pub(super) fn release(order: &Order<'_>, id: &str) -> Outcome {
    let released = order.host.faults.release(id);
    let released = released.ok_or_else(|| Refused::unknown(format!("no barrier stands under `{id}`")))?;
    ok(&json!({ "released": released }))
}

/// What to do to the clock of an issuer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClockOrder {
    /// Path of the issuer; the one at home if absent.
    issuer: Option<String>,
    /// Stops it at this time (seconds since 1970).
    freeze_at: Option<f64>,
    /// Stops it where it is, or lets it run on.
    frozen: Option<bool>,
    /// Seconds that it is ahead of the true time.
    offset: Option<f64>,
    /// Seconds to move it on.
    advance: Option<f64>,
    /// Lets it show the true time again, before anything else.
    reset: bool,
}

pub(super) fn change_clock(order: &Order<'_>) -> Outcome {
    let wanted: ClockOrder = order.json()?;
    let issuer = order.issuer(wanted.issuer.as_deref())?;
    if wanted.reset {
        issuer.clock.reset();
    }
    let ClockOrder { freeze_at, frozen, offset, advance, .. } = wanted;
    let reading = issuer.clock.try_change(ClockChange { freeze_at, frozen, offset, advance });
    ok(&reading.ok_or_else(|| Refused::bad("the clock has to stay within the years 1970 to 9999"))?)
}

/// A key of an issuer.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyStatus {
    alg: Alg,
    kid: String,
    /// It is in the key set.
    published: bool,
    /// It signs.
    signs: bool,
}

pub(super) fn keys(order: &Order<'_>) -> Outcome {
    let issuer = order.issuer(order.param("issuer"))?;
    ok(&listed(&issuer))
}

fn listed(issuer: &Issuer) -> Vec<KeyStatus> {
    let of = |alg: Alg| {
        let keys = issuer.keys.listed(alg).into_iter().enumerate();
        keys.map(move |(n, (kid, published))| KeyStatus { alg, kid, published, signs: n == 0 })
    };
    Issuer::algs(&issuer.config()).into_iter().flat_map(of).collect()
}

/// What to do to keys.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyAction {
    /// Sign with a new key; the old one stays published.
    Rotate,
    /// A new key under the `kid` of the old one.
    Replace,
    /// Publish only the newest key.
    WithdrawOld,
    /// Publish every key but the newest, which goes on signing.
    WithdrawNewest,
}

/// What to do to the keys of an issuer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyOrder {
    /// Path of the issuer; the one at home if absent.
    #[serde(default)]
    issuer: Option<String>,
    /// Only the keys of this algorithm.
    #[serde(default)]
    alg: Option<Alg>,
    /// What to do.
    action: KeyAction,
}

pub(super) fn change_keys(order: &Order<'_>) -> Outcome {
    let wanted: KeyOrder = order.json()?;
    let issuer = order.issuer(wanted.issuer.as_deref())?;
    for alg in Issuer::algs(&issuer.config()).into_iter().filter(|a| wanted.alg.is_none_or(|w| w == *a)) {
        match wanted.action {
            KeyAction::Rotate => issuer.keys.rotate(alg),
            KeyAction::Replace => issuer.keys.replace(alg),
            KeyAction::WithdrawOld => issuer.keys.withdraw_old(alg),
            KeyAction::WithdrawNewest => issuer.keys.withdraw_newest(alg),
        }
    }
    ok(&listed(&issuer))
}

pub(super) fn issuers(order: &Order<'_>) -> Outcome {
    ok(&order.host.all().iter().map(|i| status_of(order, i)).collect::<Vec<_>>())
}

/// An issuer for one test.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IssuerOrder {
    /// Its path; one that nobody else has if absent.
    path: Option<String>,
    /// Seconds that it lives; 600 if absent.
    lifetime: Option<f64>,
    /// Settings as in the table `issuer` of the configuration file: `profile`, `token`, `clients` and the like.
    settings: Value,
}

pub(super) fn throw_away(order: &Order<'_>) -> Outcome {
    let wanted: IssuerOrder = order.json()?;
    let root = wanted.path.unwrap_or_else(|| format!("/t-{}", random()));
    let root = root.trim_end_matches('/').to_owned();
    if root.is_empty() || !is_root(&root) {
        return Err(Refused::bad("`path` has to begin with a slash and to be a plain path"));
    }
    let configured = order.host.settings();
    if root == configured.template.path || configured.special.contains_key(&root) {
        return Err(Refused::bad(format!("the issuer `{root}` is configured, and not to be thrown away")));
    }
    let mut config = (*configured.template).clone();
    config.path.clone_from(&root);
    config.name.clone_from(&root);
    config.faults.clear();
    if !wanted.settings.is_null() {
        crate::file::applied(&root, &wanted.settings, &mut config)
            .map_err(|e| Refused::bad(e.to_string()))?;
    }
    let lifetime = Duration::try_from_secs_f64(wanted.lifetime.unwrap_or(LIFETIME));
    let lifetime =
        lifetime.map_err(|_| Refused::bad("`lifetime` has to be a number of seconds, 0 or more"))?;
    let issuer = order.host.put_throw_away(config, Instant::now().checked_add(lifetime));
    created(&serde_json::to_value(status_of(order, &issuer)).unwrap_or_default())
}

pub(super) fn remove_issuer(order: &Order<'_>) -> Outcome {
    let path = order.param("path").ok_or_else(|| Refused::bad("`path` is missing"))?;
    let root = path.trim_end_matches('/');
    order.host.faults.clear_issuer(root);
    match order.host.remove(root) {
        true => ok(&json!({ "removed": root })),
        false => Err(Refused::unknown(format!("`{path}` is no issuer that can be removed"))),
    }
}

pub(super) fn profiles() -> Outcome {
    let all = profile::names()
        .filter_map(|n| Some((n.to_owned(), serde_json::to_value(profile::find(n).ok()?).ok()?)));
    ok(&Value::Object(all.collect()))
}

pub(super) fn reset(order: &Order<'_>) -> Outcome {
    order.host.reset();
    Ok(Answer::empty(http::StatusCode::NO_CONTENT))
}
