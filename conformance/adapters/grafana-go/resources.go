package main

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/grafana/grafana-plugin-sdk-go/backend"
)

// The columns of a table, by a query that gives no rows.
func (d *flightDatasource) columns(address string) func(context.Context) (*flight.FlightInfo, error) {
	table := ""
	if parsed, err := url.Parse(address); err == nil {
		table = parsed.Query().Get("table")
	}
	quoted := `"` + strings.ReplaceAll(table, `"`, `""`) + `"`
	return func(ctx context.Context) (*flight.FlightInfo, error) {
		return d.sql.Execute(ctx, "SELECT * FROM "+quoted+" WHERE false")
	}
}

// The server's facts have a union for their values, which frames cannot hold: only that it answers is told.
func (d *flightDatasource) sqlInfo(
	ctx context.Context, caller backend.PluginContext, ask func(context.Context) (*flight.FlightInfo, error), sender backend.CallResourceResponseSender,
) error {
	ctx, err := d.outgoing(ctx, caller)
	if err != nil {
		return answer(sender, 502, map[string]string{"error": err.Error()})
	}
	info, err := ask(ctx)
	if err != nil {
		return answer(sender, 502, map[string]string{"error": err.Error()})
	}
	facts := 0
	for _, endpoint := range info.Endpoint {
		reader, err := d.sql.DoGet(ctx, endpoint.Ticket)
		if err != nil {
			return answer(sender, 502, map[string]string{"error": err.Error()})
		}
		for reader.Next() {
			facts += int(reader.RecordBatch().NumRows())
		}
		err = reader.Err()
		reader.Release()
		if err != nil {
			return answer(sender, 502, map[string]string{"error": err.Error()})
		}
	}
	return answer(sender, 200, map[string]int{"facts": facts})
}

func answer(sender backend.CallResourceResponseSender, status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	headers := map[string][]string{"content-type": {"application/json"}}
	return sender.Send(&backend.CallResourceResponse{Status: status, Headers: headers, Body: text})
}
