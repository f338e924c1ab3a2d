// Drives a server with arrow-go's Flight SQL client and its database/sql driver.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	_ "github.com/apache/arrow-go/v18/arrow/flight/flightsql/driver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func check(client, command string, act func() error) {
	line := map[string]string{"client": client, "command": command, "result": "ok"}
	if err := act(); err != nil {
		line["result"], line["note"] = "fail", err.Error()
	}
	text, _ := json.Marshal(line)
	fmt.Println(string(text))
}

func main() {
	address := os.Getenv("HOST") + ":" + os.Getenv("PORT")
	low(address)
	driver(address)
}

func low(address string) {
	const name = "arrow-go flightsql"
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+os.Getenv("TOKEN"))
	client, err := flightsql.NewClient(address, nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		check(name, "connect", func() error { return err })
		return
	}
	defer client.Close()
	read := func(info *flight.FlightInfo, err error) (int64, error) {
		if err != nil {
			return 0, err
		}
		reader, err := client.DoGet(ctx, info.Endpoint[0].Ticket)
		if err != nil {
			return 0, err
		}
		defer reader.Release()
		var rows int64
		for reader.Next() {
			rows += reader.RecordBatch().NumRows()
		}
		return rows, reader.Err()
	}
	expect := func(wanted int64, info *flight.FlightInfo, err error) error {
		rows, err := read(info, err)
		if err == nil && rows != wanted {
			err = fmt.Errorf("%d rows, not %d", rows, wanted)
		}
		return err
	}
	check(name, "query", func() error { i, e := client.Execute(ctx, "SELECT 1"); return expect(1, i, e) })
	check(name, "update", func() error { _, e := client.ExecuteUpdate(ctx, "CREATE TABLE g1 (id BIGINT)"); return e })
	check(name, "catalogs", func() error { i, e := client.GetCatalogs(ctx); return expect(1, i, e) })
	check(name, "schemas", func() error { i, e := client.GetDBSchemas(ctx, &flightsql.GetDBSchemasOpts{}); return expect(1, i, e) })
	check(name, "table types", func() error { i, e := client.GetTableTypes(ctx); return expect(1, i, e) })
	check(name, "tables with schema", func() error {
		pattern := "g1"
		i, e := client.GetTables(ctx, &flightsql.GetTablesOpts{TableNameFilterPattern: &pattern, IncludeSchema: true})
		return expect(1, i, e)
	})
	check(name, "primary keys", func() error { i, e := client.GetPrimaryKeys(ctx, flightsql.TableRef{Table: "g1"}); return expect(0, i, e) })
	check(name, "exported keys", func() error { i, e := client.GetExportedKeys(ctx, flightsql.TableRef{Table: "g1"}); return expect(0, i, e) })
	check(name, "imported keys", func() error { i, e := client.GetImportedKeys(ctx, flightsql.TableRef{Table: "g1"}); return expect(0, i, e) })
	check(name, "cross reference", func() error {
		i, e := client.GetCrossReference(ctx, flightsql.TableRef{Table: "g1"}, flightsql.TableRef{Table: "g1"})
		return expect(0, i, e)
	})
	check(name, "types", func() error { i, e := client.GetXdbcTypeInfo(ctx, nil); return expect(12, i, e) })
	check(name, "SqlInfo", func() error { i, e := client.GetSqlInfo(ctx, []flightsql.SqlInfo{}); return expect(89, i, e) })
	check(name, "prepared", func() error {
		statement, err := client.Prepare(ctx, "SELECT 1 AS a, 2 AS b")
		if err != nil {
			return err
		}
		defer statement.Close(ctx)
		i, e := statement.Execute(ctx)
		return expect(1, i, e)
	})
	check(name, "transaction", func() error {
		transaction, err := client.BeginTransaction(ctx)
		if err != nil {
			return err
		}
		if _, err := transaction.ExecuteUpdate(ctx, "INSERT INTO g1 VALUES (1)"); err != nil {
			return err
		}
		savepoint, err := transaction.BeginSavepoint(ctx, "s")
		if err != nil {
			return err
		}
		if _, err := transaction.ExecuteUpdate(ctx, "INSERT INTO g1 VALUES (2)"); err != nil {
			return err
		}
		if err := transaction.RollbackSavepoint(ctx, savepoint); err != nil {
			return err
		}
		if err := transaction.Commit(ctx); err != nil {
			return err
		}
		i, e := client.Execute(ctx, "SELECT * FROM g1")
		return expect(1, i, e)
	})
	check(name, "cancel", func() error {
		info, err := client.Execute(ctx, "SELECT 1")
		if err != nil {
			return err
		}
		_, err = client.CancelFlightInfo(ctx, &flight.CancelFlightInfoRequest{Info: info})
		return err
	})
	check(name, "renew endpoint", func() error {
		info, err := client.Execute(ctx, "SELECT 1")
		if err != nil {
			return err
		}
		_, err = client.RenewFlightEndpoint(ctx, &flight.RenewFlightEndpointRequest{Endpoint: info.Endpoint[0]})
		return err
	})
	check(name, "session", func() error {
		options, err := flight.NewSessionOptionValues(map[string]any{"catalog": "flightcheck"})
		if err != nil {
			return err
		}
		if _, err := client.SetSessionOptions(ctx, &flight.SetSessionOptionsRequest{SessionOptions: options}); err != nil {
			return err
		}
		got, err := client.GetSessionOptions(ctx, &flight.GetSessionOptionsRequest{})
		if err == nil && got.GetSessionOptions()["catalog"].GetStringValue() != "flightcheck" {
			err = fmt.Errorf("the option is lost: %v", got)
		}
		if err != nil {
			return err
		}
		_, err = client.CloseSession(ctx, &flight.CloseSessionRequest{})
		return err
	})
	check(name, "schema", func() error { _, e := client.GetExecuteSchema(ctx, "SELECT 1"); return e })
	check(name, "poll", func() error { _, e := client.ExecutePoll(ctx, "SELECT 1", nil); return e })
	check(name, "password", func() error {
		inside, err := client.Client.AuthenticateBasicToken(context.Background(), os.Getenv("USER_NAME"), os.Getenv("PASSWORD"))
		if err != nil {
			return err
		}
		_, err = client.Execute(inside, "SELECT 1")
		return err
	})
}

func driver(address string) {
	const name = "arrow-go database/sql"
	for _, way := range []string{"token", "password"} {
		dsn := "flightsql://" + address + "?token=" + os.Getenv("TOKEN")
		if way == "password" {
			dsn = "flightsql://" + os.Getenv("USER_NAME") + ":" + os.Getenv("PASSWORD") + "@" + address
		}
		database, err := sql.Open("flightsql", dsn)
		if err != nil {
			check(name, way, func() error { return err })
			continue
		}
		check(name, way+": query with parameters", func() error {
			var count int64
			row := database.QueryRow("SELECT count(*) FROM log_entries WHERE level <> ?", "NONE")
			if err := row.Scan(&count); err != nil || count != 1440 {
				return fmt.Errorf("%d rows, error %v", count, err)
			}
			return nil
		})
		check(name, way+": exec", func() error { _, err := database.Exec("CREATE OR REPLACE TABLE g2 AS SELECT 1 AS one"); return err })
		check(name, way+": transaction", func() error {
			transaction, err := database.Begin()
			if err != nil {
				return err
			}
			if _, err := transaction.Exec("INSERT INTO g2 VALUES (2)"); err != nil {
				return err
			}
			return transaction.Commit()
		})
		database.Close()
	}
}
