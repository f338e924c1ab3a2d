//! What a scenario lets go wrong: does each fault make sense?

use crate::diagnostic::{Diagnostic, word_help};
use crate::document::Document;
use crate::scenario::{IssuerFault, Scenario, Scheme, ServerFault, TlsTrouble};

pub(super) fn check_faults(document: &Document, scenario: &Scenario, wrong: &mut Vec<Diagnostic>) {
    check_issuer_faults(document, "/world/issuer/fault", &scenario.world.issuer.fault, wrong);
    check_server_faults(document, "/world/server/fault", scenario, &scenario.world.server.fault, wrong);
    for (nth, step) in scenario.step.iter().enumerate() {
        let faults = step.set.issuer_fault.as_deref().unwrap_or_default();
        check_issuer_faults(document, &format!("/step/{nth}/set/issuer_fault"), faults, wrong);
        let faults = step.set.server_fault.as_deref().unwrap_or_default();
        check_server_faults(document, &format!("/step/{nth}/set/server_fault"), scenario, faults, wrong);
    }
    let of_steps = scenario.step.iter().enumerate().flat_map(|(nth, step)| {
        let faults = step.set.resource_fault.iter().flatten();
        faults.enumerate().map(move |(at, fault)| (format!("/step/{nth}/set/resource_fault/{at}"), fault))
    });
    let of_world = scenario.world.resource.fault.iter().enumerate();
    let of_world = of_world.map(|(at, fault)| (format!("/world/resource/fault/{at}"), fault));
    for (at, _) in of_world.chain(of_steps).filter(|(_, fault)| !(400..600).contains(&fault.status)) {
        let span = document.span(&format!("{at}/status"));
        wrong.push(Diagnostic::new(span, "`status` of a fault is from 400 to 599"));
    }
    check_clients(document, scenario, wrong);
    check_tls(document, scenario, wrong);
    for (nth, session) in scenario.session.iter().enumerate() {
        for (key, value) in
            [("client_secret", &session.oauth.client_secret), ("client_id", &session.oauth.client_id)]
        {
            if value.as_ref().is_some_and(|v| !v.contains("{canary}")) {
                let span = document.span(&format!("/session/{nth}/oauth/{key}"));
                wrong.push(
                    Diagnostic::new(span, format!("`{key}` must hold `{{canary}}`"))
                        .with_help("a fixed value could not be told from the same text elsewhere"),
                );
            }
        }
        for part in session.oauth.keep.iter().flat_map(|k| k.split('+')) {
            const FIELDS: [&str; 3] = ["issuer", "client_id", "client_secret"];
            if !FIELDS.contains(&part) {
                let span = document.span(&format!("/session/{nth}/oauth/keep"));
                wrong.push(
                    Diagnostic::new(span, format!("unknown field `{part}` in `keep`"))
                        .with_help(word_help(part, FIELDS)),
                );
            }
        }
    }
}

fn check_tls(document: &Document, scenario: &Scenario, wrong: &mut Vec<Diagnostic>) {
    let server = &scenario.world.server;
    let mut said = |at: &str, message: &str, help: &str| {
        wrong.push(Diagnostic::new(document.span(at), message).with_help(help));
    };
    match server.tls {
        Some(TlsTrouble::Unexpected) if !server.plaintext => said(
            "/world/server/tls",
            "`tls = \"unexpected\"` needs `plaintext = true`",
            "clients are told that there is no TLS",
        ),
        Some(trouble) if trouble != TlsTrouble::Unexpected && server.plaintext => said(
            "/world/server/tls",
            "a server with `plaintext = true` has no TLS that something could be wrong with",
            "remove `plaintext`, or write `tls = \"unexpected\"`",
        ),
        _ => {}
    }
    if server.tls_version.is_some() && (server.plaintext || server.tls.is_some()) {
        said(
            "/world/server/tls_version",
            "`tls_version` is of a server whose TLS is there and well",
            "remove `plaintext` and `tls`",
        );
    }
    if scenario.world.issuer.tls_version.is_some() && scenario.world.issuer.scheme == Scheme::Http {
        said(
            "/world/issuer/tls_version",
            "an issuer with `scheme = \"http\"` has no TLS",
            "remove `scheme` or `tls_version`",
        );
    }
    for (name, value) in &server.headers {
        if !value.contains("{canary}") {
            said(
                &format!("/world/server/headers/{name}"),
                "a header must hold `{canary}`",
                "a fixed value could not be told from the same text elsewhere",
            );
        }
    }
    for (nth, step) in scenario.step.iter().enumerate() {
        if step.users == Some(0) {
            said(
                &format!("/step/{nth}/users"),
                "`users` must be at least 1",
                "leave it out for a user a call",
            );
        }
        if (step.users.is_some() || step.forwarded) && step.user.is_none() {
            let key = if step.forwarded { "forwarded" } else { "users" };
            said(&format!("/step/{nth}/{key}"), &format!("`{key}` needs `user`"), "whose would it be");
        }
    }
}

fn kinds_of(fault: &IssuerFault) -> [(&'static str, bool); 15] {
    [
        ("status", fault.status.is_some()),
        ("patch", fault.patch.is_some()),
        ("redirect", fault.redirect.is_some()),
        ("echo", fault.echo.is_some()),
        ("refused", fault.refused),
        ("reset", fault.reset),
        ("answer", fault.answer.is_some()),
        ("content_type", fault.content_type.is_some()),
        ("but_status", fault.but_status.is_some()),
        ("long_token", fault.long_token.is_some()),
        ("connection", fault.connection.is_some()),
        ("stall", fault.stall.is_some()),
        ("delay", fault.delay.is_some()),
        ("redirect_within", fault.redirect_within.is_some()),
        ("tls", fault.tls.is_some()),
    ]
}

/// The longest token that an issuer makes.
const LONGEST_TOKEN: u32 = 1 << 20;

fn check_issuer_faults(
    document: &Document,
    place: &str,
    faults: &[IssuerFault],
    wrong: &mut Vec<Diagnostic>,
) {
    for (nth, fault) in faults.iter().enumerate() {
        let at = format!("{place}/{nth}");
        let kinds = kinds_of(fault);
        if kinds.iter().filter(|(_, there)| *there).count() != 1 {
            let names: Vec<String> = kinds.iter().map(|(name, _)| format!("`{name}`")).collect();
            wrong.push(
                Diagnostic::new(document.span(&at), "a fault does one thing")
                    .with_help(format!("exactly one of {}", names.join(", "))),
            );
        }
        let statuses = [
            ("status", fault.status),
            ("but_status", fault.but_status),
            ("redirect", fault.redirect),
            ("redirect_within", fault.redirect_within),
            ("echo", fault.echo),
        ];
        for (key, _) in statuses.iter().filter(|(_, of)| of.is_some_and(|s| !(100..600).contains(&s))) {
            let span = document.span(&format!("{at}/{key}"));
            wrong.push(Diagnostic::new(span, format!("`{key}` must be from 100 to 599")));
        }
        if fault.tls == Some(TlsTrouble::Unexpected) {
            let span = document.span(&format!("{at}/tls"));
            wrong.push(
                Diagnostic::new(span, "an issuer's TLS is never `unexpected`")
                    .with_help("it is of a server with `plaintext = true`"),
            );
        }
        if fault.long_token.is_some_and(|bytes| bytes > LONGEST_TOKEN) {
            let span = document.span(&format!("{at}/long_token"));
            wrong.push(Diagnostic::new(span, format!("`long_token` must be at most {LONGEST_TOKEN}")));
        }
    }
}

/// A session that is the client of another, or takes its place, names one that stands before it.
fn check_clients(document: &Document, scenario: &Scenario, wrong: &mut Vec<Diagnostic>) {
    for (nth, session) in scenario.session.iter().enumerate() {
        let before: Vec<&str> = scenario.session[..nth].iter().map(|s| s.id.as_str()).collect();
        for (key, named) in [("client_of", &session.client_of), ("replaces", &session.replaces)] {
            if let Some(named) = named.as_ref().filter(|named| !before.contains(&named.as_str())) {
                let span = document.span(&format!("/session/{nth}/{key}"));
                wrong.push(
                    Diagnostic::new(span, format!("`{key}` names `{named}`, which is no earlier session"))
                        .with_help(word_help(named, before.iter().copied())),
                );
            }
        }
        let own = session.oauth.client_id.is_some() || session.oauth.client_secret.is_some();
        if session.client_of.is_some() && own {
            let span = document.span(&format!("/session/{nth}/client_of"));
            wrong.push(Diagnostic::new(span, "`client_of` goes with no `client_id` and no `client_secret`"));
        }
    }
}

fn check_server_faults(
    document: &Document,
    place: &str,
    scenario: &Scenario,
    faults: &[ServerFault],
    wrong: &mut Vec<Diagnostic>,
) {
    let sessions: Vec<&str> =
        scenario.session.iter().map(|s| s.id.as_str()).chain(std::iter::once("a")).collect();
    for (nth, fault) in faults.iter().enumerate() {
        let kinds =
            [fault.code.is_some(), fault.breaks.is_some(), fault.delay.is_some(), fault.slow.is_some()];
        if kinds.iter().filter(|k| **k).count() != 1 {
            wrong.push(
                Diagnostic::new(document.span(&format!("{place}/{nth}")), "a fault does one thing")
                    .with_help("exactly one of `code`, `breaks`, `delay`, `slow`"),
            );
        }
        if let Some(session) = fault.session.as_deref().filter(|s| !sessions.contains(s)) {
            let span = document.span(&format!("{place}/{nth}/session"));
            wrong.push(
                Diagnostic::new(span, format!("unknown session `{session}`"))
                    .with_help(word_help(session, sessions.iter().copied())),
            );
        }
    }
}
