package main

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/grafana/grafana-plugin-sdk-go/data"
)

// Reads every endpoint to its end into one frame.
func (c *connection) fetch(ctx context.Context, info *flight.FlightInfo) (*data.Frame, error) {
	var frame *data.Frame
	for _, endpoint := range info.Endpoint {
		if err := c.fetchEndpoint(ctx, endpoint, &frame); err != nil {
			return nil, err
		}
	}
	if frame == nil {
		return nil, fmt.Errorf("the server names no endpoint for the result")
	}
	return frame, nil
}

func (c *connection) fetchEndpoint(ctx context.Context, endpoint *flight.FlightEndpoint, frame **data.Frame) error {
	reader, err := c.sql.DoGet(ctx, endpoint.Ticket)
	if err != nil {
		return err
	}
	defer reader.Release()
	if *frame == nil {
		builder := array.NewRecordBuilder(memory.DefaultAllocator, reader.Schema())
		defer builder.Release()
		empty := builder.NewRecordBatch()
		defer empty.Release()
		if *frame, err = data.FromArrowRecord(empty); err != nil {
			return err
		}
	}
	for reader.Next() {
		batch, err := data.FromArrowRecord(reader.RecordBatch())
		if err != nil {
			return err
		}
		if len(batch.Fields) != len((*frame).Fields) {
			return fmt.Errorf("a batch has %d columns instead of %d", len(batch.Fields), len((*frame).Fields))
		}
		for column, field := range batch.Fields {
			for row := 0; row < field.Len(); row++ {
				(*frame).Fields[column].Append(field.CopyAt(row))
			}
		}
	}
	return reader.Err()
}
