//! Clauses that ask for a little less.

use crate::truth::clause;

#[test]
fn a_clause_is_loosened_by_one_word_or_one_bound_at_a_time() {
    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let looser = clause(text).looser();
        let looser: Vec<_> = looser.iter().map(|(lacks, clause)| (lacks.as_str(), clause.clone())).collect();
        let expected: Vec<_> = expected.iter().map(|(lacks, text)| (*lacks, clause(text))).collect();
        assert_eq!(looser, expected);
    }
    check(r#"step = "first", outcome = "served""#, &[]);
    check(
        r#"step = "first", outcome = "error", within = "2s", mentions = "token", says = "x""#,
        &[
            (
                "within 4s",
                r#"step = "first", outcome = "error", within = "4s", mentions = "token", says = "x""#,
            ),
            ("without mentions `token`", r#"step = "first", outcome = "error", within = "2s", says = "x""#),
            ("without says `x`", r#"step = "first", outcome = "error", within = "2s", mentions = "token""#),
        ],
    );
    check(r#"step = "first", outcome = "warned", mentions = "token""#, &[]);
    check(
        r#"events = "issuer.token", where = { status = 200 }, count = 1"#,
        &[
            ("max = 2", r#"events = "issuer.token", where = { status = 200 }, count = { min = 1, max = 2 }"#),
            ("min = 0", r#"events = "issuer.token", where = { status = 200 }, count = { max = 1 }"#),
        ],
    );
    check(
        r#"events = "issuer.token", in = "first", where = { status = 200 }, count = { min = 1 }"#,
        &[
            (
                "without in `first`",
                r#"events = "issuer.token", where = { status = 200 }, count = { min = 1 }"#,
            ),
            ("without where `status`", r#"events = "issuer.token", in = "first", count = { min = 1 }"#),
        ],
    );
    check(
        r#"events = "server.rpc", every = { session = "a", remaining_ms = { min = -1000 } }"#,
        &[
            ("without `remaining_ms`", r#"events = "server.rpc", every = { session = "a" }"#),
            (
                "`remaining_ms` >= -2000",
                r#"events = "server.rpc", every = { session = "a", remaining_ms = { min = -2000 } }"#,
            ),
            ("without `session`", r#"events = "server.rpc", every = { remaining_ms = { min = -1000 } }"#),
        ],
    );
    check(
        r#"events = "server.rpc", every = { remaining_ms = { min = 0, max = 10 } }"#,
        &[
            (
                "`remaining_ms` from -1 to 10",
                r#"events = "server.rpc", every = { remaining_ms = { min = -1, max = 10 } }"#,
            ),
            (
                "`remaining_ms` from 0 to 20",
                r#"events = "server.rpc", every = { remaining_ms = { min = 0, max = 20 } }"#,
            ),
        ],
    );
}
