//! Parameters of statements: `?` and `$1` alike, their types, and the values that a client binds.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ParamValues;
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use tonic::Status;

use crate::error::refused;

/// The SQL with `$1`, `$2` for each `?`, as DataFusion wants it. Marks in texts, names and comments stay.
pub(crate) fn numbered(sql: &str) -> String {
    if !sql.contains('?') {
        return sql.to_owned();
    }
    // SQL that cannot be read is refused later, with a better message.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location() else {
        return sql.to_owned();
    };
    let mut marks = tokens
        .iter()
        .filter(|token| token.token == Token::Placeholder("?".to_owned()))
        .map(|token| (token.span.start.line, token.span.start.column))
        .peekable();
    let (mut line, mut column, mut count) = (1, 1, 0);
    let mut text = String::with_capacity(sql.len() + 8);
    for character in sql.chars() {
        if marks.next_if_eq(&(line, column)).is_some() {
            count += 1;
            text.push_str(&format!("${count}"));
        } else {
            text.push(character);
        }
        (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    text
}

/// Name and type of each parameter of a plan. One whose type cannot be told is a text: SQL casts it where it is used.
pub(crate) fn schema(plan: &LogicalPlan) -> Result<SchemaRef, Status> {
    let types = plan.get_parameter_types().map_err(refused)?;
    let mut fields = Vec::new();
    for nth in 1..=types.len() {
        let name = format!("${nth}");
        let Some(found) = types.get(&name) else {
            return Err(Status::invalid_argument(format!(
                "parameters are `?`, or `$1` to `${}`; `{name}` is not among them",
                types.len()
            )));
        };
        let data_type = found.clone().filter(|t| *t != DataType::Null).unwrap_or(DataType::Utf8);
        fields.push(Field::new(name, data_type, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// One set of values for each row that a client bound.
pub(crate) fn rows(bound: &[RecordBatch]) -> Result<Vec<ParamValues>, Status> {
    let mut rows = Vec::new();
    for batch in bound {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| ScalarValue::try_from_array(column, row));
            let values = values.collect::<Result<Vec<_>, _>>().map_err(refused)?;
            rows.push(ParamValues::List(values.into_iter().map(ScalarAndMetadata::from).collect()));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        assert_eq!(numbered(sql), expected);
    }

    #[test]
    fn question_marks_are_numbered_where_they_are_parameters() {
        check("SELECT ?", "SELECT $1");
        check("SELECT ?,\n ? + ?", "SELECT $1,\n $2 + $3");
        check("SELECT '?', \"?\", ? -- ?", "SELECT '?', \"?\", $1 -- ?");
        check("SELECT 'é?' /* ? */ WHERE a = ?", "SELECT 'é?' /* ? */ WHERE a = $1");
        check("SELECT $1", "SELECT $1");
        check("SELECT 'open ?", "SELECT 'open ?");
    }
}
