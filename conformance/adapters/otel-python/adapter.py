"""Lets flightcheck drive the OTLP exporter of OpenTelemetry with a requests session of Authlib: a thread a line."""
import json, logging, sys, threading
from authlib.integrations.requests_client import OAuth2Session
from opentelemetry.exporter.otlp.proto.http import version
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

logging.basicConfig(level=logging.INFO)  # stderr is the log
tracer, sessions, write = TracerProvider().get_tracer("flightcheck"), {}, threading.Lock()


def do(op, session=None, native=None, batch=None, **_):
    if op == "hello":
        return {"name": "opentelemetry-exporter-otlp-proto-http", "version": version.__version__}
    if op == "open":
        options = dict(native)
        uri = options.pop("endpoint")
        oauth = OAuth2Session(grant_type="client_credentials", **options)
        sessions[session] = oauth, OTLPSpanExporter(endpoint=uri, session=oauth), threading.Lock()
    elif op == "close":
        sessions.pop(session)[1].shutdown()
    elif op == "export":
        oauth, exporter, first = sessions[session]
        with first:
            if not oauth.token:
                oauth.fetch_token()
        span = tracer.start_span(batch)
        span.end()
        if exporter.export([span]) is not SpanExportResult.SUCCESS:
            raise RuntimeError("the exporter says FAILURE")
    return {}


def answer(line):
    request = json.loads(line)
    ident = request.pop("id")
    try:
        reply = {"id": ident, "ok": do(**request)}
    except BaseException as error:
        reply = {"id": ident, "error": {"message": f"{type(error).__name__}: {error}"}}
    with write:
        print(json.dumps(reply), flush=True)


for line in sys.stdin:
    threading.Thread(target=answer, args=(line,), daemon=True).start()
