"""Lets flightcheck drive the ADBC Flight SQL driver: a thread a line, nothing else."""
import json, sys, threading
import adbc_driver_flightsql, adbc_driver_flightsql.dbapi as flightsql

connections, write = {}, threading.Lock()


def do(op, session=None, native=None, sql=None, **_):
    if op == "hello":
        return {"name": "adbc-driver-flightsql", "version": adbc_driver_flightsql.__version__}
    if op == "open":
        options = dict(native)
        connections[session] = flightsql.connect(options.pop("uri"), db_kwargs=options)
    elif op == "query":
        with connections[session].cursor() as cursor:
            cursor.execute(sql)
            return {"rows": cursor.fetch_arrow_table().num_rows}
    elif op == "tables":
        connections[session].adbc_get_objects(depth="tables").read_all()
    elif op == "close":
        connections.pop(session).close()
    return {}


def answer(line):
    request = json.loads(line)
    try:
        reply = {"id": request.pop("id"), "ok": do(**request)}
    except BaseException as error:
        reply = {"id": json.loads(line)["id"], "error": {"message": str(error)}}
    with write:
        print(json.dumps(reply), flush=True)


for line in sys.stdin:
    threading.Thread(target=answer, args=(line,), daemon=True).start()
