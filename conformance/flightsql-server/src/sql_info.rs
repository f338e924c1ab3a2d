//! SqlInfo: every fact that the specification names and that holds here (FlightSql.proto, `enum SqlInfo`).

use std::collections::BTreeMap;

use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    SqlInfo as I, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedGroupBy, SqlSupportedResultSetConcurrency, SqlSupportedResultSetType, SqlSupportedSubqueries,
    SqlSupportedTransaction, SqlSupportedUnions, SqlSupportsConvert, SqlTransactionIsolationLevel,
    SupportedSqlGrammar,
};

const KEYWORDS: [&str; 12] = [
    "ANTI",
    "EXCLUDE",
    "EXPLAIN",
    "ILIKE",
    "LATERAL",
    "QUALIFY",
    "REGEXP",
    "REPLACE",
    "SEMI",
    "SHOW",
    "TABLESAMPLE",
    "UNNEST",
];
pub(crate) const NUMERIC_FUNCTIONS: [&str; 26] = [
    "abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "cot", "degrees", "exp", "floor", "gcd", "ln",
    "log", "log10", "log2", "nanvl", "pi", "power", "radians", "random", "round", "signum", "sin", "sqrt",
    "trunc",
];
pub(crate) const STRING_FUNCTIONS: [&str; 23] = [
    "ascii",
    "btrim",
    "character_length",
    "chr",
    "concat",
    "concat_ws",
    "initcap",
    "left",
    "lower",
    "lpad",
    "ltrim",
    "octet_length",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "right",
    "rpad",
    "split_part",
    "substr",
    "upper",
];
pub(crate) const SYSTEM_FUNCTIONS: [&str; 5] =
    ["arrow_cast", "arrow_typeof", "coalesce", "nullif", "version"];
pub(crate) const DATETIME_FUNCTIONS: [&str; 12] = [
    "current_date",
    "current_time",
    "date_bin",
    "date_part",
    "date_trunc",
    "from_unixtime",
    "make_date",
    "now",
    "to_char",
    "to_date",
    "to_timestamp",
    "to_unixtime",
];

/// All of SqlInfo that applies.
pub(crate) fn sql_info() -> SqlInfoData {
    let mut info = SqlInfoDataBuilder::new();
    server(&mut info);
    language(&mut info);
    structure(&mut info);
    limits(&mut info);
    transactions(&mut info);
    info.build().expect("each value has the type of its kind")
}

/// A set as bits: FlightSql.proto numbers the bits by the values of the enum.
fn bits(values: &[i32]) -> i32 {
    values.iter().fold(0, |bits, value| bits | 1 << value)
}

fn server(info: &mut SqlInfoDataBuilder) {
    info.append(I::FlightSqlServerName, "Flightcheck reference server");
    info.append(I::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(I::FlightSqlServerArrowVersion, "1.3");
    info.append(I::FlightSqlServerReadOnly, false);
    info.append(I::FlightSqlServerSql, true);
    info.append(I::FlightSqlServerSubstrait, false);
    info.append(I::FlightSqlServerTransaction, SqlSupportedTransaction::Savepoint as i32);
    info.append(I::FlightSqlServerCancel, true);
    info.append(I::FlightSqlServerBulkIngestion, true);
    info.append(I::FlightSqlServerIngestTransactionsSupported, true);
    info.append(I::FlightSqlServerStatementTimeout, 0i32);
    info.append(I::FlightSqlServerTransactionTimeout, 0i32);
}

fn language(info: &mut SqlInfoDataBuilder) {
    info.append(I::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32);
    info.append(I::SqlIdentifierQuoteChar, "\"");
    // As they are written; the specification has no word for that.
    info.append(I::SqlQuotedIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32);
    info.append(I::SqlAllTablesAreSelectable, true);
    info.append(I::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    info.append(I::SqlKeywords, &KEYWORDS[..]);
    info.append(I::SqlNumericFunctions, &NUMERIC_FUNCTIONS[..]);
    info.append(I::SqlStringFunctions, &STRING_FUNCTIONS[..]);
    info.append(I::SqlSystemFunctions, &SYSTEM_FUNCTIONS[..]);
    info.append(I::SqlDatetimeFunctions, &DATETIME_FUNCTIONS[..]);
    info.append(I::SqlSearchStringEscape, "\\");
    info.append(I::SqlExtraNameCharacters, "");
    info.append(I::SqlSupportsColumnAliasing, true);
    info.append(I::SqlNullPlusNullIsNull, true);
    info.append(I::SqlSupportsConvert, conversions());
    info.append(I::SqlSupportsTableCorrelationNames, true);
    info.append(I::SqlSupportsDifferentTableCorrelationNames, false);
    info.append(I::SqlSupportsExpressionsInOrderBy, true);
    info.append(I::SqlSupportsOrderByUnrelated, true);
    let groups =
        [SqlSupportedGroupBy::SqlGroupByUnrelated as i32, SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32];
    info.append(I::SqlSupportedGroupBy, bits(&groups));
    info.append(I::SqlSupportsLikeEscapeClause, true);
    info.append(I::SqlSupportsNonNullableColumns, true);
    let grammar = [
        SupportedSqlGrammar::SqlMinimumGrammar as i32,
        SupportedSqlGrammar::SqlCoreGrammar as i32,
        SupportedSqlGrammar::SqlExtendedGrammar as i32,
    ];
    info.append(I::SqlSupportedGrammar, bits(&grammar));
    // `SupportedAnsi92SqlGrammarLevel`, which arrow-flight does not export: bit 0 is the entry level.
    info.append(I::SqlAnsi92SupportedLevel, 1i32);
    info.append(I::SqlSupportsIntegrityEnhancementFacility, false);
    let joins = [
        SqlOuterJoinsSupportLevel::SqlLimitedOuterJoins as i32,
        SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32,
    ];
    info.append(I::SqlOuterJoinsSupportLevel, bits(&joins));
    let subqueries = [
        SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
        SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
        SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
    ];
    info.append(I::SqlSupportedSubqueries, bits(&subqueries));
    info.append(I::SqlCorrelatedSubqueriesSupported, true);
    let unions = [SqlSupportedUnions::SqlUnion as i32, SqlSupportedUnions::SqlUnionAll as i32];
    info.append(I::SqlSupportedUnions, bits(&unions));
}

/// What CAST makes of what (FlightSql.proto, `SqlSupportsConvert`).
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    use SqlSupportsConvert as C;
    let text = C::SqlConvertVarchar as i32;
    let numbers = [
        C::SqlConvertBigint,
        C::SqlConvertDecimal,
        C::SqlConvertFloat,
        C::SqlConvertInteger,
        C::SqlConvertNumeric,
        C::SqlConvertReal,
        C::SqlConvertSmallint,
        C::SqlConvertTinyint,
    ]
    .map(|c| c as i32);
    let times = [C::SqlConvertDate as i32, C::SqlConvertTimestamp as i32];
    let mut conversions = BTreeMap::new();
    for from in numbers {
        conversions.insert(from, numbers.iter().copied().filter(|to| *to != from).chain([text]).collect());
    }
    for from in times {
        conversions.insert(from, times.iter().copied().filter(|to| *to != from).chain([text]).collect());
    }
    conversions.insert(text, numbers.into_iter().chain(times).collect());
    conversions
}

fn structure(info: &mut SqlInfoDataBuilder) {
    info.append(I::SqlDdlCatalog, false);
    info.append(I::SqlDdlSchema, false);
    info.append(I::SqlDdlTable, true);
    info.append(I::SqlSchemaTerm, "schema");
    info.append(I::SqlProcedureTerm, "procedure");
    info.append(I::SqlCatalogTerm, "catalog");
    info.append(I::SqlCatalogAtStart, true);
    info.append(I::SqlSchemasSupportedActions, 0i32);
    info.append(I::SqlCatalogsSupportedActions, 0i32);
    info.append(I::SqlSupportedPositionedCommands, 0i32);
    info.append(I::SqlSelectForUpdateSupported, false);
    info.append(I::SqlStoredProceduresSupported, false);
    let types = [
        SqlSupportedResultSetType::SqlResultSetTypeUnspecified as i32,
        SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32,
    ];
    info.append(I::SqlSupportedResultSetTypes, bits(&types));
    let read_only = bits(&[SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32]);
    info.append(I::SqlSupportedConcurrenciesForResultSetUnspecified, read_only);
    info.append(I::SqlSupportedConcurrenciesForResultSetForwardOnly, read_only);
    info.append(I::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0i32);
    info.append(I::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0i32);
    info.append(I::SqlBatchUpdatesSupported, true);
    info.append(I::SqlNamedParametersSupported, false);
    info.append(I::SqlLocatorsUpdateCopy, false);
    info.append(I::SqlStoredFunctionsUsingCallSyntaxSupported, false);
}

/// No limits: zero means that there is none, or that it is not known.
fn limits(info: &mut SqlInfoDataBuilder) {
    for limit in [
        I::SqlMaxBinaryLiteralLength,
        I::SqlMaxCharLiteralLength,
        I::SqlMaxColumnNameLength,
        I::SqlMaxColumnsInGroupBy,
        I::SqlMaxColumnsInIndex,
        I::SqlMaxColumnsInOrderBy,
        I::SqlMaxColumnsInSelect,
        I::SqlMaxColumnsInTable,
        I::SqlMaxConnections,
        I::SqlMaxCursorNameLength,
        I::SqlMaxIndexLength,
        I::SqlDbSchemaNameLength,
        I::SqlMaxProcedureNameLength,
        I::SqlMaxCatalogNameLength,
        I::SqlMaxRowSize,
        I::SqlMaxStatementLength,
        I::SqlMaxStatements,
        I::SqlMaxTableNameLength,
        I::SqlMaxTablesInSelect,
        I::SqlMaxUsernameLength,
    ] {
        info.append(limit, 0i64);
    }
    info.append(I::SqlMaxRowSizeIncludesBlobs, true);
}

fn transactions(info: &mut SqlInfoDataBuilder) {
    // Snapshot isolation, first committer wins: `serializable` would promise too much.
    let level = SqlTransactionIsolationLevel::SqlTransactionRepeatableRead as i32;
    info.append(I::SqlDefaultTransactionIsolation, level);
    info.append(I::SqlTransactionsSupported, true);
    info.append(I::SqlSupportedTransactionsIsolationLevels, bits(&[level]));
    info.append(I::SqlDataDefinitionCausesTransactionCommit, false);
    info.append(I::SqlDataDefinitionsInTransactionsIgnored, false);
    info.append(I::SqlSavepointsSupported, true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Limits};

    #[test]
    fn every_named_function_exists() {
        let engine = Engine::new(Limits::default());
        let functions = engine.state().scalar_functions();
        let named = NUMERIC_FUNCTIONS
            .iter()
            .chain(&STRING_FUNCTIONS)
            .chain(&SYSTEM_FUNCTIONS)
            .chain(&DATETIME_FUNCTIONS);
        let missing: Vec<_> = named.filter(|name| !functions.contains_key(**name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_fact_of_the_specification_is_given_but_the_versions_of_substrait() {
        let all: Vec<u32> =
            (0..=11).chain(100..=101).chain(500..=576).filter(|id| ![6, 7].contains(id)).collect();
        let batch = sql_info().record_batch(all.clone()).expect("every id is known");
        assert_eq!(batch.num_rows(), all.len());
    }
}
