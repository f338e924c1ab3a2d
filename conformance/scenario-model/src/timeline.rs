//! Events in words: who did what, when.

use crate::event::{Event, Fact, Said};
use crate::moment::Seconds;

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since the world was up.
    pub at_us: u64,
    /// `subject`, `issuer`, `server`, `runner` or `host`.
    pub party: &'static str,
    /// What it did.
    pub text: String,
}

/// A timeline of these events; what only repeats the line before it is counted, not shown again.
pub fn timeline(events: &[Event]) -> Vec<Moment> {
    let mut lines: Vec<(Moment, u32)> = Vec::new();
    for event in events {
        let Some((party, text)) = in_words(&event.fact) else { continue };
        match lines.last_mut() {
            Some((last, times)) if last.party == party && last.text == text => *times += 1,
            _ => lines.push((Moment { at_us: event.at_us, party, text }, 1)),
        }
    }
    let counted = |(mut moment, times): (Moment, u32)| {
        if times > 1 {
            moment.text.push_str(&format!(" ({times} times)"));
        }
        moment
    };
    lines.into_iter().map(counted).collect()
}

fn in_words(fact: &Fact) -> Option<(&'static str, String)> {
    Some(match fact {
        Fact::StepBegin(begin) => {
            let calls =
                if begin.calls > 1 { format!("{} calls at once", begin.calls) } else { "1 call".to_owned() };
            let whose = if begin.session.is_empty() {
                String::new()
            } else {
                format!(" of session {}", begin.session)
            };
            ("runner", format!("step `{}`: {}{whose}, {calls}", begin.step, begin.op))
        }
        Fact::StepEnd(end) => ("subject", replies(&end.replies, &end.step)),
        Fact::WorldChange(change) => {
            ("runner", format!("step `{}`: world set to {}", change.step, change.set))
        }
        Fact::IssuerContact(contact) if contact.via == "syn" => (
            "issuer",
            format!("{}: connection attempt at {}, not answered", contact.issuer, contact.endpoint),
        ),
        Fact::IssuerContact(contact) if contact.tls == "failed" => {
            let why = contact.reason.as_deref().unwrap_or("no reason");
            ("issuer", format!("{}: no TLS at {}: {why}", contact.issuer, contact.endpoint))
        }
        Fact::IssuerFault(met) => (
            "issuer",
            format!("{}: a request for {} meets the fault {}", met.issuer, met.endpoint, met.fault),
        ),
        Fact::ServerContact(contact) if contact.tls == "failed" => {
            let why = contact.reason.as_deref().unwrap_or("no reason");
            ("server", format!("[{}] no TLS: {why}", contact.session))
        }
        Fact::IssuerContact(_) | Fact::IssuerClosed(_) | Fact::ServerContact(_) => return None,
        Fact::IssuerDiscovery(r) | Fact::IssuerJwks(r) | Fact::IssuerOther(r) => {
            ("issuer", format!("{}: {} {} -> {}", r.issuer, r.method, r.path, status(r.status)))
        }
        Fact::IssuerToken(token) => {
            let granted = match (&token.token, token.lifetime_s) {
                (Some(label), Some(life)) => format!(", token {label} for {life} s"),
                _ => token.error.as_ref().map(|e| format!(", {e}")).unwrap_or_default(),
            };
            let line = format!(
                "{}: token request of {}, {} -> {}{granted}",
                token.issuer,
                token.session.as_deref().unwrap_or("an unknown client"),
                token.client_auth,
                status(token.status)
            );
            ("issuer", line)
        }
        Fact::ElsewhereRequest(request) => {
            let what = if request.credential { "with a credential" } else { "without credentials" };
            ("issuer", format!("another origin: {} {} {what}", request.method, request.path))
        }
        Fact::ResourceRequest(request) => {
            let token = request.token.as_ref().map(|label| format!(" {label}")).unwrap_or_default();
            let left = request.remaining_ms.map(|ms| format!(" with {} left", Seconds(ms as f64 / 1e3)));
            let line = format!(
                "[{}] {} {}: {}, {}{token}{} -> {}",
                request.session,
                request.method,
                request.path,
                request.scheme,
                request.token_state,
                left.unwrap_or_default(),
                request.status
            );
            ("server", line)
        }
        Fact::ServerRpc(rpc) => {
            let token = match (&rpc.token, rpc.remaining_ms) {
                (Some(label), Some(ms)) => format!(" {label} with {} left", Seconds(ms as f64 / 1e3)),
                (None, Some(ms)) => format!(" with {} left", Seconds(ms as f64 / 1e3)),
                (Some(label), None) => format!(" {label}"),
                (None, None) => String::new(),
            };
            let user = rpc.user.as_ref().map(|u| format!(", user {u:?}")).unwrap_or_default();
            let refused = rpc.refused.as_ref().map(|code| format!(" -> refused {code}")).unwrap_or_default();
            let command = rpc.command.as_ref().map(|c| format!(" {c}")).unwrap_or_default();
            let line =
                format!("{}{command}: {}, {}{token}{user}{refused}", rpc.method, rpc.scheme, rpc.token_state);
            ("server", format!("[{}] {line}", rpc.session))
        }
        Fact::ServerFault(met) => {
            ("server", format!("[{}] {} meets the fault {}", met.session, met.method, met.fault))
        }
        Fact::ServerRendezvous(met) => ("server", format!("{} callers met in {}", met.parties, met.method)),
        Fact::ServerStreamEnd(end) if end.method == "DoGet" || end.code != "OK" => {
            let aborted = if end.aborted { ", reset by the client" } else { "" };
            (
                "server",
                format!(
                    "[{}] {} ended with {} after {} rows{aborted}",
                    end.session, end.method, end.code, end.rows
                ),
            )
        }
        Fact::ServerStreamEnd(_) => return None,
        Fact::SubjectStderr(text) => {
            ("subject", format!("log: {}{}", shortened(&text.text), leaked(&text.leaks)))
        }
        Fact::SubjectNoise(text) => {
            ("subject", format!("stdout, {}: {}{}", text.reason, shortened(&text.text), leaked(&text.leaks)))
        }
        Fact::SubjectExit(exit) => {
            let how = match (exit.code, exit.signal) {
                (Some(code), _) => format!("with code {code}"),
                (None, Some(signal)) => format!("by signal {signal}"),
                (None, None) => "without a status".to_owned(),
            };
            let when = match (exit.asked, exit.ended_by_us) {
                (_, true) => ", ended by us",
                (true, false) => "",
                (false, false) => ", unasked",
            };
            ("subject", format!("process ended {how}{when}"))
        }
        Fact::SubjectLeftover(left) => ("subject", format!("{} processes left over", left.processes)),
        Fact::ProbeAnswer(answer) => {
            let said = answer.message.as_ref().map(|m| format!(": {}", shortened(m))).unwrap_or_default();
            let line = format!(
                "{} with {} -> {}{said}, {} rows after {}",
                answer.method,
                answer.sent,
                answer.code,
                answer.rows,
                Seconds(answer.took_ms as f64 / 1e3)
            );
            ("server", line)
        }
        Fact::HostStall(stall) => ("host", format!("did not run us for {} ms", stall.gap_ms)),
    })
}

fn status(status: Option<u16>) -> String {
    status.map_or_else(|| "no answer".to_owned(), |s| s.to_string())
}

fn leaked(leaks: &[String]) -> String {
    if leaks.is_empty() { String::new() } else { format!(" [leaks {}]", leaks.join(", ")) }
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(160).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

fn replies(replies: &[crate::event::Reply], step: &str) -> String {
    let of = |said: Said| replies.iter().filter(|r| r.said == said).collect::<Vec<_>>();
    let slowest = replies.iter().map(|r| r.took_us).max().unwrap_or(0);
    let mut parts = Vec::new();
    for (said, word) in
        [(Said::Ok, "ok"), (Said::Error, "error"), (Said::Nothing, "no answer"), (Said::Gone, "gone")]
    {
        let those = of(said);
        let Some(first) = those.first() else { continue };
        let count = if replies.len() > 1 { format!("{} x ", those.len()) } else { String::new() };
        let message = first.message.as_ref().map(|m| format!(": {}", shortened(m))).unwrap_or_default();
        let leaks: Vec<String> = those.iter().flat_map(|r| r.leaks.clone()).collect();
        parts.push(format!("{count}{word}{message}{}", leaked(&leaks)));
    }
    format!("step `{step}`: {} after {}", parts.join("; "), Seconds(slowest as f64 / 1e6))
}
