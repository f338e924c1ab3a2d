//! The schemas that editors check scenario files by.

use scenario_model::clause::RawClause;
use scenario_model::document::schema_value;
use serde_json::json;

#[test]
fn a_schema_takes_the_clauses_that_are_read_and_no_others() {
    let schema = schema_value::<RawClause>();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let count = |count| json!({ "events": "issuer.jwks", "count": count });
    let every = |status| json!({ "events": "issuer.jwks", "every": { "status": status } });
    for (clause, is_one) in [
        (count(json!(0)), true),
        (count(json!({ "max": 2 })), true),
        (count(json!({ "min": 1, "max": 2 })), true),
        (count(json!(-1)), false),
        (count(json!("two")), false),
        (count(json!({ "least": 1 })), false),
        (count(json!({ "min": "one" })), false),
        (every(json!(200)), true),
        (every(json!("OK")), true),
        (every(json!(true)), true),
        (every(json!({ "min": 200, "max": 299.5 })), true),
        (every(json!({ "same_as": "path" })), true),
        (every(json!({ "least": 200 })), false),
        (every(json!({ "max": "many" })), false),
    ] {
        assert_eq!(validator.is_valid(&clause), is_one, "the schema: {clause}");
        assert_eq!(
            serde_json::from_value::<RawClause>(clause.clone()).is_ok(),
            is_one,
            "the reader: {clause}"
        );
    }
}
