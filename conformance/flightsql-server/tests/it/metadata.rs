//! Metadata commands: the schemas of the specification, and honest content.

use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
    CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, ProstMessageExt,
};
use arrow_flight::{FlightDescriptor, FlightInfo};
use prost::Message as _;

use crate::site::{Client, Site, TOKEN, rows, table};

async fn info(client: &mut Client, command: &impl ProstMessageExt) -> FlightInfo {
    let mut request = tonic::Request::new(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    client.inner_mut().get_flight_info(request).await.unwrap().into_inner()
}

/// Schema of a command as text; that of the stream must be the same.
async fn schema(client: &mut Client, command: &impl ProstMessageExt) -> String {
    let info = info(client, command).await;
    let told = info.clone().try_decode_schema().unwrap();
    let batches = rows(client, info).await;
    for batch in &batches {
        assert_eq!(*batch.schema(), told);
    }
    let field = |f: &arrow::datatypes::FieldRef| {
        format!("{}: {}{}", f.name(), f.data_type(), if f.is_nullable() { "?" } else { "" })
    };
    told.fields().iter().map(field).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn schemas_are_those_of_the_specification() {
    let site = Site::start().await;
    let client = &mut site.client().await;
    assert_eq!(schema(client, &CommandGetCatalogs {}).await, "catalog_name: Utf8");
    let schemas = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
    assert_eq!(schema(client, &schemas).await, "catalog_name: Utf8?, db_schema_name: Utf8");
    assert_eq!(schema(client, &CommandGetTableTypes {}).await, "table_type: Utf8");
    let tables = |include_schema| CommandGetTables { include_schema, ..CommandGetTables::default() };
    let plain = "catalog_name: Utf8?, db_schema_name: Utf8?, table_name: Utf8, table_type: Utf8";
    assert_eq!(schema(client, &tables(false)).await, plain);
    assert_eq!(schema(client, &tables(true)).await, format!("{plain}, table_schema: Binary"));
    let keys = CommandGetPrimaryKeys { catalog: None, db_schema: None, table: "wide".into() };
    assert_eq!(
        schema(client, &keys).await,
        "catalog_name: Utf8?, db_schema_name: Utf8?, table_name: Utf8, column_name: Utf8, key_sequence: Int32, \
         key_name: Utf8?"
    );
    let foreign = "pk_catalog_name: Utf8?, pk_db_schema_name: Utf8?, pk_table_name: Utf8, pk_column_name: Utf8, \
                   fk_catalog_name: Utf8?, fk_db_schema_name: Utf8?, fk_table_name: Utf8, fk_column_name: Utf8, \
                   key_sequence: Int32, fk_key_name: Utf8?, pk_key_name: Utf8?, update_rule: UInt8, delete_rule: UInt8";
    let table = || "wide".to_owned();
    let exported = CommandGetExportedKeys { catalog: None, db_schema: None, table: table() };
    assert_eq!(schema(client, &exported).await, foreign);
    let imported = CommandGetImportedKeys { catalog: None, db_schema: None, table: table() };
    assert_eq!(schema(client, &imported).await, foreign);
    let cross = CommandGetCrossReference { pk_table: table(), fk_table: table(), ..Default::default() };
    assert_eq!(schema(client, &cross).await, foreign);
    let types = CommandGetXdbcTypeInfo { data_type: None };
    assert!(
        schema(client, &types).await.starts_with("type_name: Utf8, data_type: Int32, column_size: Int32?")
    );
    let facts = CommandGetSqlInfo { info: vec![] };
    assert!(schema(client, &facts).await.starts_with("info_name: UInt32, value: Union"));
}

#[tokio::test]
async fn tables_are_filtered_by_sql_patterns() {
    let site = Site::start().await;
    let client = &mut site.client().await;
    for (pattern, expected) in [
        ("log%", "log_entries"),
        ("metri__", "metrics"),
        ("nothing", ""),
        ("%i%", "log_entries metrics wide"),
    ] {
        let command = CommandGetTables {
            table_name_filter_pattern: Some(pattern.into()),
            ..CommandGetTables::default()
        };
        let info = info(client, &command).await;
        let found = table(&rows(client, info).await);
        let names: Vec<&str> = found.lines().filter_map(|line| line.split(' ').nth(2)).collect();
        assert_eq!(names.join(" "), expected, "{pattern}");
    }
}

#[tokio::test]
async fn primary_keys_are_those_of_create_table() {
    let site = Site::start().await;
    let client = &mut site.client().await;
    let sql = "CREATE TABLE t (b INT NOT NULL, a INT NOT NULL, c INT, PRIMARY KEY (a, b))";
    client.execute_update(sql.to_owned(), None).await.unwrap();
    let keys = CommandGetPrimaryKeys { catalog: None, db_schema: None, table: "t".into() };
    let info = info(client, &keys).await;
    assert_eq!(table(&rows(client, info).await), "flightcheck public t a 1 \nflightcheck public t b 2 ");
}
