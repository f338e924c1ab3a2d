#!/usr/bin/env python3
"""Measures a release build beside a pyarrow Flight server, in one run, with one client (pyarrow.flight).

    bench/run.py [--server PATH] [--bytes N]

Prints JSON: bytes a second of a large result from both and their ratio, `SELECT 1` p50 and p99, and memory while
streaming. Needs clients/run.py to have been run once (it installs pyarrow); starts itself again with that Python.
"""

import argparse
import json
import os
import pathlib
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=HERE.parents[2] / "target" / "release" / "flightsql-server")
    parser.add_argument("--bytes", type=int, default=1 << 30)
    arguments = parser.parse_args()
    if not PYTHON.exists():
        sys.exit("error: pyarrow is not installed yet; run clients/run.py first")
    if pathlib.Path(sys.prefix) != PYTHON.parent.parent:
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    import pyarrow.flight as flight

    ours_command = [arguments.server, "--anonymous", "--plaintext", "--quiet", "--listen", "127.0.0.1:0"]
    peer_command = [sys.executable, HERE / "peer.py"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(ours_command, **pipes) as ours, subprocess.Popen(peer_command, **pipes) as peer:
        try:
            client = flight.connect(ours.stdout.readline().strip())
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
            times = []
            for _ in range(500):
                started = time.perf_counter()
                list(client.do_get(flight.Ticket(sql("SELECT 1"))))
                times.append((time.perf_counter() - started) * 1e3)
            hundredths = statistics.quantiles(times, n=100)
            print(json.dumps({
                "stream_mb_s": round(max(mine)),
                "pyarrow_server_mb_s": round(max(theirs)),
                "ratio": round(max(mine) / max(theirs), 2),
                "select_1_ms": {"p50": round(hundredths[49], 2), "p99": round(hundredths[98], 2)},
                "memory_mib_above_idle": round(resident(ours.pid, "VmHWM") - idle),
            }, indent=2))
        finally:
            ours.terminate()
            peer.terminate()


main()
