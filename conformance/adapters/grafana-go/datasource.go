package main

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/backend/instancemgmt"
	"github.com/grafana/grafana-plugin-sdk-go/data"
)

// One saved data source.
type flightDatasource struct {
	*connection
}

func newDatasource(_ context.Context, from backend.DataSourceInstanceSettings) (instancemgmt.Instance, error) {
	read, err := readSettings(from)
	if err != nil {
		return nil, err
	}
	c, err := connect(read)
	if err != nil {
		return nil, err
	}
	return &flightDatasource{connection: c}, nil
}

// The SDK calls it when the data source was saved anew.
func (d *flightDatasource) Dispose() {
	d.close()
}

func (d *flightDatasource) QueryData(ctx context.Context, request *backend.QueryDataRequest) (*backend.QueryDataResponse, error) {
	response := backend.NewQueryDataResponse()
	var mutex sync.Mutex
	var running sync.WaitGroup
	for _, query := range request.Queries {
		running.Go(func() {
			answer := d.query(ctx, request.PluginContext, query)
			mutex.Lock()
			defer mutex.Unlock()
			response.Responses[query.RefID] = answer
		})
	}
	running.Wait()
	return response, nil
}

func (d *flightDatasource) query(ctx context.Context, caller backend.PluginContext, query backend.DataQuery) backend.DataResponse {
	var asked struct {
		Query     string `json:"query"`
		QueryText string `json:"queryText"`
	}
	if err := json.Unmarshal(query.JSON, &asked); err != nil {
		return backend.ErrDataResponse(backend.StatusBadRequest, "the query is not understood: "+err.Error())
	}
	if asked.Query == "" {
		asked.Query = asked.QueryText
	}
	frame, err := d.run(ctx, caller, func(ctx context.Context) (*flight.FlightInfo, error) {
		return d.sql.Execute(ctx, asked.Query)
	})
	if err != nil {
		return backend.DataResponse{Error: err, Status: backend.StatusBadGateway, ErrorSource: backend.ErrorSourceDownstream}
	}
	frame.RefID = query.RefID
	frame.Meta = &data.FrameMeta{ExecutedQueryString: asked.Query}
	return backend.DataResponse{Frames: data.Frames{frame}, Status: backend.StatusOK}
}

func (d *flightDatasource) run(
	ctx context.Context, caller backend.PluginContext, ask func(context.Context) (*flight.FlightInfo, error),
) (*data.Frame, error) {
	ctx, err := d.outgoing(ctx, caller)
	if err != nil {
		return nil, err
	}
	info, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	return d.fetch(ctx, info)
}

// "Save & test": the same way as a query, with credentials.
func (d *flightDatasource) CheckHealth(ctx context.Context, request *backend.CheckHealthRequest) (*backend.CheckHealthResult, error) {
	_, err := d.run(ctx, request.PluginContext, func(ctx context.Context) (*flight.FlightInfo, error) {
		return d.sql.Execute(ctx, "SELECT 1")
	})
	if err != nil {
		return &backend.CheckHealthResult{Status: backend.HealthStatusError, Message: err.Error()}, nil
	}
	return &backend.CheckHealthResult{Status: backend.HealthStatusOk, Message: "the server answers"}, nil
}

// What the editors of queries ask for.
func (d *flightDatasource) CallResource(ctx context.Context, request *backend.CallResourceRequest, sender backend.CallResourceResponseSender) error {
	caller := request.PluginContext
	var ask func(context.Context) (*flight.FlightInfo, error)
	switch request.Path {
	case "flightsql/tables":
		ask = func(ctx context.Context) (*flight.FlightInfo, error) {
			return d.sql.GetTables(ctx, &flightsql.GetTablesOpts{})
		}
	case "flightsql/columns":
		ask = d.columns(request.URL)
	case "flightsql/sql-info":
		ask = func(ctx context.Context) (*flight.FlightInfo, error) {
			return d.sql.GetSqlInfo(ctx, []flightsql.SqlInfo{flightsql.SqlInfoFlightSqlServerName})
		}
	default:
		return answer(sender, 404, map[string]string{"error": "there is no such resource"})
	}
	if request.Path == "flightsql/sql-info" {
		return d.sqlInfo(ctx, caller, ask, sender)
	}
	frame, err := d.run(ctx, caller, ask)
	if err != nil {
		return answer(sender, 502, map[string]string{"error": err.Error()})
	}
	return answer(sender, 200, frame)
}
