#!/usr/bin/env python3
"""Measures a release build beside a pyarrow Flight server and ROAPI, in one run, with one client for both.

    bench/run.py [--server PATH] [--bytes N]

Prints JSON: bytes a second of a large result from ours and the pyarrow server and their ratio (pyarrow.flight), p50 and p99 of
`SELECT 1` from ours and ROAPI (ADBC), and memory while streaming. Needs clients/run.py to have been run once (it installs
pyarrow and ADBC); installs ROAPI beside them and starts itself again with that Python.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = HERE.parent / "clients" / ".installed" / "python" / "bin" / "python"


def resident(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024


def stream(client, flight, ticket):
    started, total = time.perf_counter(), 0
    for chunk in client.do_get(flight.Ticket(ticket)):
        total += chunk.data.nbytes
    return total / (time.perf_counter() - started) / 1e6


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def roapi():
    """Installs ROAPI and starts it with a table; its address once it answers."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "roapi==0.12.7"]
    subprocess.run(pip, check=True)
    table = HERE.parents[2] / "fixtures" / "tables" / "metrics.csv"
    port = free_port()
    command = [PYTHON.parent / "roapi", "--addr-http", f"127.0.0.1:{free_port()}", "--addr-postgres", f"127.0.0.1:{free_port()}"]
    command += ["--addr-flight-sql", f"127.0.0.1:{port}", "--table", f"metrics={table}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return process, f"grpc://127.0.0.1:{port}"
        time.sleep(0.1)
    process.kill()
    sys.exit("error: ROAPI does not listen after 30 s")


def milliseconds(cursors):
    """p50 and p99 of `SELECT 1` for each cursor, in turns: the machine is shared."""
    times = [[] for _ in cursors]
    for nth in range(600):
        for cursor, list_ in zip(cursors, times, strict=True):
            started = time.perf_counter()
            cursor.execute("SELECT 1")
            cursor.fetchall()
            if nth >= 100:
                list_.append((time.perf_counter() - started) * 1e3)
    hundredths = [statistics.quantiles(list_, n=100) for list_ in times]
    return [{"p50": round(h[49], 2), "p99": round(h[98], 2)} for h in hundredths]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=HERE.parents[2] / "target" / "release" / "flightsql-server")
    parser.add_argument("--bytes", type=int, default=1 << 30)
    arguments = parser.parse_args()
    if not PYTHON.exists():
        sys.exit("error: pyarrow is not installed yet; run clients/run.py first")
    if pathlib.Path(sys.prefix) != PYTHON.parent.parent:
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    import adbc_driver_flightsql.dbapi as adbc
    import pyarrow.flight as flight

    beside_us = None
    ours_command = [arguments.server, "--anonymous", "--plaintext", "--quiet", "--listen", "127.0.0.1:0"]
    peer_command = [sys.executable, HERE / "peer.py"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(ours_command, **pipes) as ours, subprocess.Popen(peer_command, **pipes) as peer:
        try:
            beside_us, roapi_address = roapi()
            address = ours.stdout.readline().strip()
            client = flight.connect(address)
            beside = flight.connect(peer.stdout.readline().strip())
            sql = lambda text: json.dumps({"sql_query": text}).encode()
            list(client.do_get(flight.Ticket(sql("SELECT 1"))))
            idle = resident(ours.pid, "VmRSS")
            large = sql(f"SELECT value a, value b, value c, value d FROM generate_series(1, {arguments.bytes // 32})")
            # In turns, and the best of three: the machine is shared.
            mine, theirs = [], []
            for _ in range(3):
                mine.append(stream(client, flight, large))
                theirs.append(stream(beside, flight, str(arguments.bytes).encode()))
            with adbc.connect(address, autocommit=True) as one, adbc.connect(roapi_address, autocommit=True) as other:
                with one.cursor() as mine_1, other.cursor() as theirs_1:
                    select_1 = milliseconds([mine_1, theirs_1])
            print(json.dumps({
                "stream_mb_s": round(max(mine)),
                "pyarrow_server_mb_s": round(max(theirs)),
                "ratio": round(max(mine) / max(theirs), 2),
                "select_1_ms": {"ours": select_1[0], "roapi": select_1[1]},
                "memory_mib_above_idle": round(resident(ours.pid, "VmHWM") - idle),
            }, indent=2))
        finally:
            ours.terminate()
            peer.terminate()
            if beside_us:
                beside_us.terminate()


main()
