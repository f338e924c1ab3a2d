//! What a user chose and what the subject declares, and the permutations that come of it.

use scenario_model::call::SubjectKind;
use scenario_model::load::Loaded;
use scenario_model::manifest::{Drive, Manifest, TlsDeclared};
use scenario_model::plan::{Choice, Pattern, Permutation, kinds_of, plan};
use scenario_model::provider::Provider;
use scenario_model::scenario::{Lane, Profile, Surface};

use crate::recorded::{OF_A_SERVER, loaded};

/// A client that can do everything.
const ABLE: &str = r#"
schema  = 1
name    = "able"
drive   = "stdio"
command = ["./able"]

[options]
"server.uri" = { native = "uri" }
"auth.none" = { native = "none" }
"auth.token" = { native = "with-token" }
oauth = { native = "oauth" }
token = { native = "token" }
"basic.username" = { native = "username" }
"basic.password" = { native = "password" }
"oauth.issuer" = { native = "issuer" }
"oauth.token_url" = { native = "token_url" }
"oauth.client_id" = { native = "client_id" }
"oauth.client_secret" = { native = "client_secret" }
"oauth.scope" = { native = "scope" }
"oauth.audience" = { native = "audience" }
"attribution.off" = { native = "quiet" }
headers = { native = "header.{name}" }

[declares]
oauth     = { discovery = true }
tls       = "optional"
users     = true
deadlines = true

[surfaces]
health = true
tables = true
"#;

fn manifest(text: &str) -> Manifest {
    Manifest::parse("subject.toml", text).expect("a good manifest")
}

fn able() -> Manifest {
    manifest(ABLE)
}

/// The same client as a plugin, with settings where the data sources for Grafana save them.
fn plugin() -> Manifest {
    let text = ABLE
        .replace("\"stdio\"", "\"grafana-plugin\"")
        .replace("deadlines = true", "")
        .replace("native = \"", "native = \"jsonData.")
        .replace("jsonData.uri", "jsonData.host")
        .replace("jsonData.with-token", "jsonData.selectedAuthType");
    manifest(&text)
}

/// A scenario of one step and one check, and what else it says: keys and tables, and keys of the step.
fn scenario(id: &str, more: &str, step: &str) -> Loaded {
    let said = |key: &str, otherwise: &str| match more.contains(&format!("{key} = ")) {
        true => String::new(),
        false => format!("{key} = {otherwise}\n"),
    };
    let op = if step.contains("op = ") { "" } else { "op = \"query\"" };
    let (profiles, lane) = (said("profiles", "[\"core\"]"), said("lane", "\"instant\""));
    let text = format!(
        r#"title = "t"
{profiles}{lane}{more}

[[step]]
id = "first"
{op}
{step}

[[check]]
id     = "c"
level  = "MUST"
claim  = "x"
covers = ["FC-CACHE-1"]
expect = [{{ step = "first", outcome = "served" }}]
"#
    );
    loaded(id, &format!("{id}.toml"), &text)
}

fn catalogue() -> Vec<Loaded> {
    let matrix = "[matrix]\nk = [\"x\", \"y\"]\nn = [1, 2]";
    let both = "profiles = [\"core\", \"resilience\"]\nlane = \"hang\"\nsurfaces = [\"query\", \"health\"]";
    let server = "subject = \"flight-server\"\nprofiles = [\"resource-server\"]";
    vec![
        scenario("a/grid", matrix, ""),
        scenario("a/two", both, ""),
        scenario("b/clean", "profiles = [\"hygiene\"]", ""),
        scenario("s/server", server, "op = \"call\""),
    ]
}

fn ids(permutations: &[Permutation]) -> Vec<&str> {
    permutations.iter().map(|p| p.id.as_str()).collect()
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect()
}

const ALL: [&str; 7] = [
    "a/grid[k=x,n=1]",
    "a/grid[k=x,n=2]",
    "a/grid[k=y,n=1]",
    "a/grid[k=y,n=2]",
    "a/two",
    "a/two@health",
    "b/clean",
];

/// What is planned, by its place in [`ALL`].
#[track_caller]
fn chosen(choice: &Choice, expected: &[usize]) {
    let expected: Vec<&str> = expected.iter().map(|nth| ALL[*nth]).collect();
    assert_eq!(ids(&plan(&catalogue(), &able(), choice)), expected, "{choice:?}");
}

#[test]
fn everything_for_this_kind_of_subject_is_planned_in_the_order_of_the_catalogue() {
    chosen(&Choice::default(), &[0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(ids(&plan(&catalogue(), &manifest(OF_A_SERVER), &Choice::default())), ["s/server"]);
}

#[test]
fn a_run_is_of_what_matches_and_is_not_skipped() {
    let check = |profiles: &[Profile], run: &[&str], skip: &[&str], expected: &[usize]| {
        let (run, skip) = (patterns(run), patterns(skip));
        chosen(&Choice { profiles: profiles.to_vec(), run, skip, ..Choice::default() }, expected);
    };
    use Profile::{Attribution, Core, Hygiene, Resilience};
    check(&[Core], &[], &[], &[0, 1, 2, 3, 4, 5]);
    check(&[Resilience], &[], &[], &[4, 5]);
    check(&[Hygiene, Resilience], &[], &[], &[4, 5, 6]);
    check(&[Attribution], &[], &[], &[]);
    check(&[], &["b/*"], &[], &[6]);
    check(&[], &["*/*"], &[], &[0, 1, 2, 3, 4, 5, 6]);
    check(&[], &["*"], &[], &[]);
    check(&[], &["a/grid"], &[], &[0, 1, 2, 3]);
    check(&[], &["a/grid[]"], &[], &[0, 1, 2, 3]);
    check(&[], &["a/grid[k=x]"], &[], &[0, 1]);
    check(&[], &["a/grid[n=2]"], &[], &[1, 3]);
    check(&[], &["a/*[ k = y , n = 2 ]"], &[], &[3]);
    check(&[], &["a/grid[k=z]"], &[], &[]);
    check(&[], &["a/grid[n=x]"], &[], &[]);
    check(&[], &["a/two[k=x]"], &[], &[]);
    check(&[], &["b/clean", "a/grid[k=y,n=1]"], &[], &[2, 6]);
    check(&[], &[], &["a/*"], &[6]);
    check(&[], &[], &["a/grid[k=x]", "b/*"], &[2, 3, 4, 5]);
    check(&[], &["a/*"], &["*/two"], &[0, 1, 2, 3]);
    check(&[Hygiene], &["a/*"], &[], &[]);
    check(&[Core], &["a/two", "b/*"], &[], &[4, 5]);
    check(&[Core], &[], &["a/grid"], &[4, 5]);
}

#[test]
fn the_parts_of_a_plan_are_dealt_out_like_cards() {
    for (shard, expected) in [
        ((1, 1), &[0, 1, 2, 3, 4, 5, 6][..]),
        ((1, 2), &[0, 2, 4, 6]),
        ((2, 2), &[1, 3, 5]),
        ((1, 3), &[0, 3, 6]),
        ((2, 3), &[1, 4]),
        ((3, 3), &[2, 5]),
        ((8, 9), &[]),
    ] {
        chosen(&Choice { shard: Some(shard), ..Choice::default() }, expected);
    }
    // Parts are of what was selected.
    chosen(&Choice { shard: Some((2, 2)), skip: patterns(&["a/grid"]), ..Choice::default() }, &[5]);
}

#[test]
fn a_permutation_says_what_it_is() {
    let all = plan(&catalogue(), &able(), &Choice::default());
    let (grid, health) = (&all[3], &all[5]);
    assert_eq!(
        (grid.scenario_id.as_str(), grid.surface, grid.lane()),
        ("a/grid", Surface::Query, Lane::Instant)
    );
    assert_eq!(grid.values, [("k".to_owned(), "y".into()), ("n".to_owned(), 2.into())]);
    assert_eq!(
        (health.scenario_id.as_str(), health.surface, health.lane()),
        ("a/two", Surface::Health, Lane::Hang)
    );
    assert_eq!(health.scenario().profiles, [Profile::Core, Profile::Resilience]);
    assert_eq!((&health.values[..], &health.not_applicable), (&[][..], &None));
}

#[test]
fn what_is_no_pattern_is_refused_and_what_is_one_stays_as_it_was_written() {
    for text in ["a/b", "*/*", "a/{b,c}[k=v]", "a/b[ k = v ]"] {
        assert_eq!(Pattern::parse(text).expect("a pattern").as_str(), text);
    }
    for (text, problem) in [
        ("a/b[k]", "`a/b[k]` is not a pattern: expected `family/name[key=value]`"),
        ("a/b[k=v,l]", "`a/b[k=v,l]` is not a pattern: expected `family/name[key=value]`"),
        (
            "a/{b",
            "`a/{b` is not a pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
        ),
    ] {
        assert_eq!(Pattern::parse(text).expect_err("no pattern"), problem);
    }
}

#[test]
fn a_pattern_tells_for_what_kind_of_subject_it_has_scenarios() {
    let check = |pattern: &str, expected: &[SubjectKind]| {
        let kinds = kinds_of(&catalogue(), &Pattern::parse(pattern).expect("a pattern"));
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected, "{pattern}");
    };
    check("*/*", &[SubjectKind::FlightClient, SubjectKind::FlightServer]);
    check("a/*", &[SubjectKind::FlightClient]);
    check("s/*", &[SubjectKind::FlightServer]);
    check("a/grid[k=z]", &[]);
}

/// The reason for which the only permutation of a scenario does not apply.
fn reason(of: &Loaded, manifest: &Manifest) -> Option<String> {
    let planned = plan(std::slice::from_ref(of), manifest, &Choice::default());
    assert_eq!(planned.len(), 1, "one permutation");
    planned.into_iter().next().and_then(|p| p.not_applicable)
}

/// It applies to the subject, and not to the same subject without something.
#[track_caller]
fn needs(more: &str, step: &str, subject: Manifest, without: impl Fn(&mut Manifest), expected: &str) {
    let scenario = scenario("a/b", more, step);
    assert_eq!(reason(&scenario, &subject), None, "{more}\n{step}");
    let mut lacking = subject;
    without(&mut lacking);
    assert_eq!(reason(&scenario, &lacking).as_deref(), Some(expected), "{more}\n{step}");
}

/// A session `a` with these settings.
fn session(settings: &str) -> String {
    format!("[[session]]\nid = \"a\"\n{settings}")
}

fn without_option(key: &str) -> impl Fn(&mut Manifest) {
    move |m| drop(m.options.remove(key).expect("it was there"))
}

#[test]
fn a_scenario_applies_to_a_subject_with_its_surfaces() {
    let without = |surface| move |m: &mut Manifest| m.surfaces.retain(|known, _| *known != surface);
    let (health, tables) = (without(Surface::Health), without(Surface::Tables));
    needs("surfaces = [\"health\"]", "", able(), health, "the subject has no surface `health`");
    needs("", "op = \"health\"", able(), health, "the subject has no surface `health`");
    needs("", "op = \"tables\"", able(), tables, "the subject has no surface `tables`");
    let no_queries = |m: &mut Manifest| m.surfaces.extend([(Surface::Query, false)]);
    needs("", "", able(), no_queries, "the subject has no surface `query`");
    // On each surface by itself.
    let mut blind = able();
    health(&mut blind);
    let planned = plan(&catalogue(), &blind, &Choice { run: patterns(&["a/two"]), ..Choice::default() });
    let reasons: Vec<_> = planned.iter().map(|p| p.not_applicable.as_deref()).collect();
    assert_eq!(reasons, [None, Some("the subject has no surface `health`")]);
}

#[test]
fn a_scenario_applies_to_a_subject_that_declares_what_it_needs() {
    let no_oauth = |m: &mut Manifest| m.declares.oauth = None;
    let only_tls = |m: &mut Manifest| m.declares.tls = TlsDeclared::Required;
    let driven = |m: &mut Manifest| m.drive = Drive::Stdio;
    let lacks = |need: &str| format!("the subject does not declare `{need}`");
    let discovery = |m: &mut Manifest| m.declares.oauth.as_mut().expect("declared").discovery = false;
    needs("needs = [\"discovery\"]", "", able(), discovery, &lacks("discovery"));
    needs("needs = [\"own-process\"]", "", able(), |m| m.drive = Drive::GrafanaPlugin, &lacks("own-process"));
    needs("needs = [\"oauth\", \"choice\"]", "", able(), without_option("auth.none"), &lacks("choice"));
    // A session that is not described has OAuth.
    needs("", "", able(), no_oauth, &lacks("oauth"));
    needs(&session(""), "", able(), no_oauth, &lacks("oauth"));
    needs(&session("auth = \"token\""), "", able(), without_option("token"), &lacks("token"));
    needs(&session("auth = \"basic\""), "", able(), without_option("basic.password"), &lacks("basic"));
    needs(&session("also = [\"token\"]"), "", able(), without_option("token"), &lacks("token"));
    let must_log_in = |m: &mut Manifest| {
        only_tls(m);
        m.options.remove("auth.none");
    };
    needs(&session("auth = \"none\""), "", able(), must_log_in, &lacks("anonymous"));
    let (scope, audience) = ("oauth = { scope = \"s\" }", "oauth = { audience = \"s\" }");
    needs(&session(scope), "", able(), without_option("oauth.scope"), &lacks("scope"));
    needs(&session(audience), "", able(), without_option("oauth.audience"), &lacks("audience"));
    let quiet = session("attribution = false");
    needs(&quiet, "", able(), without_option("attribution.off"), &lacks("attribution-switch"));
    let header = session("headers = [{ name = \"x\", value = \"v\" }]");
    needs(&header, "", able(), without_option("headers"), &lacks("headers"));
    needs(&session("saved = \"token\""), "", plugin(), driven, &lacks("saved-settings"));
    needs("[world.server]\nplaintext = true", "", able(), only_tls, &lacks("plaintext"));
    needs("", "query_field = \"query\"", plugin(), driven, &lacks("plugin"));
    needs("", "request = \"panel\"", plugin(), driven, &lacks("plugin"));
    needs("", "user = \"alice\"", able(), |m| m.declares.users = false, &lacks("users"));
    needs("", "deadline = \"1s\"", able(), |m| m.declares.deadlines = false, &lacks("deadlines"));
    let url = session("settings = [{ key = \"oauth.token_url\", value = \"u\" }]");
    let lacking = "the subject has no option `oauth.token_url`";
    needs(&url, "", able(), without_option("oauth.token_url"), lacking);
}

#[test]
fn a_scenario_does_not_need_what_it_does_not_use() {
    let check = |more: &str, step: &str, without: &dyn Fn(&mut Manifest)| {
        let mut lacking = able();
        without(&mut lacking);
        assert_eq!(reason(&scenario("a/b", more, step), &lacking), None, "{more}\n{step}");
    };
    let no_oauth = |m: &mut Manifest| m.declares.oauth = None;
    check(&session("auth = \"token\""), "", &no_oauth);
    check(&session("attribution = true"), "", &without_option("attribution.off"));
    let absent = session("settings = [{ key = \"oauth.token_url\", value = \"<absent>\" }]");
    check(&absent, "", &without_option("oauth.token_url"));
    check("", "", &|m| {
        let kept = ["server.uri", "oauth", "oauth.issuer"];
        m.options.retain(|key, _| kept.contains(&key.as_str()));
        m.surfaces.clear();
        m.declares =
            scenario_model::manifest::Declares { oauth: m.declares.oauth.clone(), ..Default::default() };
    });
    // Nobody calls session `a` here: a restart is of the process.
    let only_b = "[[session]]\nid = \"b\"\nauth = \"token\"\n[[step]]\nid = \"again\"\nop = \"restart\"";
    check(only_b, "session = \"b\"", &no_oauth);
}

#[test]
fn a_need_can_be_of_some_values_of_the_matrix() {
    let more = "needs_if = [{ when = { n = 2 }, needs = [\"users\"] }]\n[matrix]\nn = [1, 2, 3]";
    let mut lacking = able();
    lacking.declares.users = false;
    let planned = plan(&[scenario("a/b", more, "")], &lacking, &Choice::default());
    let reasons: Vec<_> = planned.iter().map(|p| p.not_applicable.as_deref()).collect();
    assert_eq!(reasons, [None, Some("the subject does not declare `users`"), None]);
}

#[test]
fn a_run_as_if_each_issuer_were_a_providers_keeps_the_names_and_says_what_has_no_variant() {
    let catalogue = [
        scenario("a/own", "[world.issuer]\nalg = \"ES256\"", ""),
        scenario("a/plain", "", ""),
        scenario("a/token", &session("auth = \"token\""), ""),
    ];
    let choice = Choice { provider: Some(Provider::Auth0), ..Choice::default() };
    let check = |subject: &Manifest, expected: [Option<&str>; 3]| {
        let planned = plan(&catalogue, subject, &choice);
        assert_eq!(ids(&planned), ["a/own", "a/plain", "a/token"]);
        let reasons: Vec<_> = planned.iter().map(|p| p.not_applicable.as_deref()).collect();
        assert_eq!(reasons, expected);
        assert_eq!(planned[1].scenario().world.issuer.profile, Some(Provider::Auth0));
    };
    let own = Some("the scenario decides `alg` of the issuer, as the provider does");
    check(&able(), [own, None, None]);
    let mut lacking = able();
    without_option("oauth.audience")(&mut lacking);
    check(&lacking, [own, Some("the subject does not declare `audience`"), None]);
}
