"""Lets flightcheck drive the ADBC Flight SQL driver: a thread a line, a connection for each call at a time."""
import json, sys, threading
import adbc_driver_flightsql, adbc_driver_flightsql.dbapi as flightsql

sessions, idle, write = {}, {}, threading.Lock()


def do(op, session=None, native=None, sql=None, **_):
    if op == "hello":
        return {"name": "adbc-driver-flightsql", "version": adbc_driver_flightsql.__version__}
    if op == "open":
        options = dict(native)
        sessions[session] = flightsql.connect(options.pop("uri"), db_kwargs=options)
        idle[session] = [sessions[session]]
    elif op == "close":
        for connection in [*idle.pop(session)[1:], sessions.pop(session)]:
            connection.close()
    else:  # connections are not for several threads at once (PEP 249 threadsafety 1)
        with write:
            connection = idle[session].pop() if idle[session] else None
        connection = connection or sessions[session].adbc_clone()
        try:
            return work(connection, op, sql)
        finally:
            with write:
                idle[session].append(connection)
    return {}


def work(connection, op, sql):
    if op == "tables":
        connection.adbc_get_objects(depth="tables").read_all()
        return {}
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return {"rows": cursor.fetch_arrow_table().num_rows}


def answer(line):
    request = json.loads(line)
    ident = request.pop("id")
    try:
        reply = {"id": ident, "ok": do(**request)}
    except BaseException as error:
        reply = {"id": ident, "error": {"message": str(error)}}
    with write:
        print(json.dumps(reply), flush=True)


for line in sys.stdin:
    threading.Thread(target=answer, args=(line,), daemon=True).start()
