"""A pyarrow Flight server that streams the same batch again and again: a peer of the benchmark."""

import sys

import pyarrow as pa
import pyarrow.flight as flight

ROWS = 65_536
BATCH = pa.record_batch([pa.array(range(ROWS), pa.int64())] * 4, names=list("abcd"))


class Peer(flight.FlightServerBase):
    def do_get(self, context, ticket):
        batches = int(ticket.ticket) // BATCH.nbytes
        return flight.GeneratorStream(BATCH.schema, (BATCH for _ in range(batches)))


server = Peer("grpc://127.0.0.1:0")
print(f"grpc://127.0.0.1:{server.port}", flush=True)
sys.stdin.read()
