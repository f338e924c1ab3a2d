"""Drives a server with Python clients. A line of JSON for each client and command: ok, or what went wrong."""

import json
import os
import sys

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager as low
import pyarrow as pa
import pyarrow.flight as flight
from adbc_driver_flightsql import DatabaseOptions
from flightsql import FlightSQLClient
from flightsql.client import TableRef

HOST, PORT, TOKEN, USER, PASSWORD = (os.environ[name] for name in ("HOST", "PORT", "TOKEN", "USER_NAME", "PASSWORD"))
URI = f"grpc://{HOST}:{PORT}"


def check(client, command, act, expected=None):
    try:
        got = act()
        if expected is not None and got != expected:
            raise AssertionError(f"{got!r} is not {expected!r}")
        result = {"client": client, "command": command, "result": "ok"}
    except Exception as error:  # noqa: BLE001: whatever a client does is a result
        result = {"client": client, "command": command, "result": "fail", "note": f"{type(error).__name__}: {error}"[:300]}
    print(json.dumps(result), flush=True)


def adbc_dbapi():
    name = "ADBC Python dbapi"
    header = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"}
    with adbc.connect(URI, db_kwargs=header, autocommit=True) as connection, connection.cursor() as cursor:

        def run(sql, parameters=None):
            cursor.execute(sql, parameters)
            return cursor.fetchall()

        check(name, "query", lambda: run("SELECT 1 AS one"), [(1,)])
        check(name, "parameters", lambda: run("SELECT count(*) FROM log_entries WHERE level <> ?", ("NONE",)), [(1440,)])
        check(name, "update", lambda: cursor.execute("CREATE TABLE a1 (id BIGINT)"))
        check(name, "prepared update", lambda: cursor.executemany("INSERT INTO a1 VALUES (?)", [(1,), (2,)]))
        check(name, "query after update", lambda: run("SELECT sum(id) FROM a1"), [(3,)])
        rows = pa.table({"id": [1, 2, 3]})
        for mode, total in (("create", 3), ("append", 6), ("replace", 3), ("create_append", 6)):
            check(name, f"ingest {mode}", lambda mode=mode: cursor.adbc_ingest("a2", rows, mode=mode), 3)
            check(name, f"rows after {mode}", lambda: run("SELECT count(*) FROM a2"), [(total,)])
        check(name, "objects", lambda: objects(connection), ["a1", "a2", "log_entries", "metrics"])
        check(name, "table schema", lambda: connection.adbc_get_table_schema("a2").names, ["id"])
        check(name, "table types", lambda: connection.adbc_get_table_types(), ["TABLE"])
        check(name, "info", lambda: connection.adbc_get_info()["vendor_name"], "Flightcheck reference server")
        check(name, "partitions", lambda: len(cursor.adbc_execute_partitions("SELECT 1")[0]), 1)
        check(name, "session option", lambda: connection.adbc_current_catalog, "flightcheck")
        check(name, "cancel", lambda: cancel(connection))

    def transaction():
        with adbc.connect(URI, db_kwargs=header) as inside, inside.cursor() as cursor:
            cursor.execute("INSERT INTO a1 VALUES (10)")
            inside.rollback()
            cursor.execute("INSERT INTO a1 VALUES (20)")
            inside.commit()
            cursor.execute("SELECT sum(id) FROM a1")
            return cursor.fetchall()

    check(name, "transaction", transaction, [(23,)])

    def by_password():
        options = {"username": USER, "password": PASSWORD}
        with adbc.connect(URI, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 2")
            return cursor.fetchall()

    check(name, "password", by_password, [(2,)])

    def refused():
        try:
            adbc.connect(URI, db_kwargs={DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer no"}, autocommit=True).cursor().execute("SELECT 1")
        except Exception as error:  # noqa: BLE001
            return "UNAUTHENTICATED" in str(error).upper()
        return False

    check(name, "wrong token refused", refused, True)


def objects(connection):
    tree = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
    schemas = [schema for catalog in tree for schema in catalog["catalog_db_schemas"]]
    return sorted(table["table_name"] for schema in schemas for table in schema["db_schema_tables"])


def cancel(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT a.value FROM generate_series(1, 100000) a, generate_series(1, 100000) b")
        reader = cursor.fetch_record_batch()
        reader.read_next_batch()
        cursor.adbc_cancel()


def adbc_low_level():
    name = "ADBC Python low level"
    import adbc_driver_flightsql

    with adbc_driver_flightsql.connect(URI, db_kwargs={DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"}) as database:
        with low.AdbcConnection(database) as connection, low.AdbcStatement(connection) as statement:

            def query():
                statement.set_sql_query("SELECT 3 AS n")
                stream, _ = statement.execute_query()
                return pa.RecordBatchReader._import_from_c(stream.address).read_all().to_pylist()

            check(name, "query", query, [{"n": 3}])

            def schema():
                statement.set_sql_query("SELECT 3 AS n")
                handle = statement.execute_schema()
                return pa.Schema._import_from_c(handle.address).names

            check(name, "schema", schema, ["n"])

            def prepared():
                statement.set_sql_query("SELECT count(*) AS n FROM metrics WHERE name = $1")
                statement.prepare()
                handle = statement.get_parameter_schema()
                return pa.Schema._import_from_c(handle.address).types

            check(name, "parameter schema", prepared, [pa.string()])


def pyarrow():
    name = "pyarrow.flight"
    client = flight.connect(URI)
    options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {TOKEN}".encode())])
    ticket = flight.Ticket(json.dumps({"database": "d", "sql_query": "SELECT 4 AS n", "query_type": "sql"}))
    check(name, "JSON ticket", lambda: client.do_get(ticket, options).read_all().to_pylist(), [{"n": 4}])
    check(name, "list actions", lambda: len(list(client.list_actions(options))), 13)

    def handshake():
        header = client.authenticate_basic_token(USER, PASSWORD)
        inside = flight.FlightCallOptions(headers=[header])
        return client.do_get(ticket, inside).read_all().to_pylist()

    check(name, "password", handshake, [{"n": 4}])

    def session():
        return client.get_session_options(options) if hasattr(client, "get_session_options") else None

    check(name, "session", session)


def dbapi():
    name = "flightsql-dbapi"
    client = FlightSQLClient(host=HOST, port=int(PORT), token=TOKEN, insecure=True)

    def read(info):
        return client.do_get(info.endpoints[0].ticket).read_all()

    check(name, "query", lambda: read(client.execute("SELECT 5 AS n")).to_pylist(), [{"n": 5}])
    check(name, "catalogs", lambda: read(client.get_catalogs()).num_rows, 1)
    check(name, "schemas", lambda: read(client.get_db_schemas()).num_rows, 1)
    check(name, "tables", lambda: "metrics" in read(client.get_tables()).column("table_name").to_pylist(), True)
    check(name, "tables with schema", lambda: read(client.get_tables(include_schema=True)).num_columns, 5)
    check(name, "table types", lambda: read(client.get_table_types()).num_rows, 1)
    check(name, "primary keys", lambda: read(client.get_primary_keys(TableRef(table="metrics"))).num_rows, 0)
    check(name, "SqlInfo", lambda: read(client.get_sql_info([])).num_rows > 80, True)
    check(name, "update", lambda: client.execute_update("CREATE TABLE d1 AS SELECT 1 AS one"))


for part in (adbc_dbapi, adbc_low_level, pyarrow, dbapi):
    try:
        part()
    except Exception as error:  # noqa: BLE001
        check(part.__name__, "connect", lambda error=error: (_ for _ in ()).throw(error))
sys.exit(0)
