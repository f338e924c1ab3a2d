//! What a server says about itself: SqlInfo, types and keys, with exactly the specified schemas.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType};
use datafusion::catalog::TableProvider;
use datafusion::common::Constraint;

use crate::engine::{CATALOG, SCHEMA};
use crate::sql_info::sql_info;

/// What does not depend on the tables.
pub(crate) struct Facts {
    pub(crate) info: SqlInfoData,
    pub(crate) types: XdbcTypeInfoData,
}

impl Facts {
    pub(crate) fn new() -> Self {
        Self { info: sql_info(), types: xdbc_types() }
    }
}

/// Name, ODBC type, size or precision, quotes, whether a number.
type SqlType = (&'static str, XdbcDataType, Option<i32>, Option<&'static str>, bool);

/// The types of SQL columns, ordered by ODBC's number as the specification asks.
const TYPES: [SqlType; 12] = [
    ("BOOLEAN", XdbcDataType::XdbcBit, Some(1), None, false),
    ("TINYINT", XdbcDataType::XdbcTinyint, Some(3), None, true),
    ("BIGINT", XdbcDataType::XdbcBigint, Some(19), None, true),
    ("BYTEA", XdbcDataType::XdbcVarbinary, None, Some("'"), false),
    ("DECIMAL", XdbcDataType::XdbcDecimal, Some(76), None, true),
    ("INTEGER", XdbcDataType::XdbcInteger, Some(10), None, true),
    ("SMALLINT", XdbcDataType::XdbcSmallint, Some(5), None, true),
    ("REAL", XdbcDataType::XdbcFloat, Some(7), None, true),
    ("DOUBLE", XdbcDataType::XdbcDouble, Some(15), None, true),
    ("VARCHAR", XdbcDataType::XdbcVarchar, None, Some("'"), false),
    ("DATE", XdbcDataType::XdbcDate, Some(10), Some("'"), false),
    ("TIMESTAMP", XdbcDataType::XdbcTimestamp, Some(29), Some("'"), false),
];

fn xdbc_types() -> XdbcTypeInfoData {
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, data_type, size, quote, number) in TYPES {
        types.append(XdbcTypeInfo {
            type_name: name.into(),
            data_type,
            column_size: size,
            literal_prefix: quote.map(Into::into),
            literal_suffix: quote.map(Into::into),
            create_params: (name == "DECIMAL").then(|| vec!["precision".into(), "scale".into()]),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: name == "VARCHAR",
            searchable: Searchable::Full,
            unsigned_attribute: number.then_some(false),
            fixed_prec_scale: false,
            auto_increment: number.then_some(false),
            local_type_name: Some(name.into()),
            minimum_scale: (name == "DECIMAL").then_some(0),
            maximum_scale: (name == "DECIMAL").then_some(76),
            sql_data_type: data_type,
            datetime_subcode: None,
            num_prec_radix: number.then_some(10),
            interval_precision: None,
        });
    }
    types.build().expect("each type is whole")
}

/// Schema of GetPrimaryKeys (FlightSql.proto, `CommandGetPrimaryKeys`).
pub(crate) fn primary_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
}

/// The columns of a table's primary key, if it was made with one.
pub(crate) fn primary_keys(name: &str, table: &dyn TableProvider) -> RecordBatch {
    let schema = table.schema();
    let columns: Vec<&str> = table
        .constraints()
        .into_iter()
        .flat_map(|constraints| constraints.iter())
        .filter_map(|constraint| match constraint {
            Constraint::PrimaryKey(columns) => Some(columns),
            Constraint::Unique(_) => None,
        })
        .flatten()
        .map(|nth| schema.field(*nth).name().as_str())
        .collect();
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; columns.len()])) };
    let sequence = 1..=i32::try_from(columns.len()).expect("a table has fewer columns");
    let arrays = vec![
        same(CATALOG),
        same(SCHEMA),
        same(name),
        Arc::new(StringArray::from(columns.clone())),
        Arc::new(Int32Array::from_iter_values(sequence)),
        Arc::new(StringArray::from(vec![None::<&str>; columns.len()])),
    ];
    RecordBatch::try_new(primary_keys_schema(), arrays).expect("columns of the schema")
}

/// Schema of the three commands about foreign keys (FlightSql.proto, `CommandGetImportedKeys`).
pub(crate) fn foreign_keys_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}
