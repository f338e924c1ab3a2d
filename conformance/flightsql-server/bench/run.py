#!/usr/bin/env python3
"""Measures the server beside others in one run: a pyarrow Flight server, ROAPI, and what `benches/stream.rs` serves itself.

    bench/run.py [OPTION...]

Installs pyarrow and ROAPI into bench/.installed, starts both on loopback, and calls `cargo bench -p flightsql-server --bench
stream` with the options given (`--bytes N`, `--memory N`) and their addresses; prints its JSON.
"""

import pathlib
import re
import socket
import subprocess
import sys
import time
import venv

HERE = pathlib.Path(__file__).resolve().parent
INSTALLED = HERE / ".installed"
PACKAGES = ["pyarrow==25.0.0", "roapi==0.12.7"]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def install():
    """The folder of the programs."""
    programs = INSTALLED / "bin"
    if not (programs / "roapi").exists():
        venv.create(INSTALLED, with_pip=True)
        pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        subprocess.run(pip, check=True)
    return programs


def listening(process, port):
    """Waits until the process listens."""
    for _ in range(300):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return f"http://127.0.0.1:{port}"
        if process.poll() is not None:
            sys.exit(f"error: `{process.args[0]}` ended with {process.returncode}")
        time.sleep(0.1)
    sys.exit(f"error: `{process.args[0]}` does not listen after 30 s")


def main():
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return 0
    programs = install()
    port = free_port()
    table = HERE.parents[2] / "fixtures" / "tables" / "metrics.csv"
    roapi = [programs / "roapi", "--addr-http", f"127.0.0.1:{free_port()}", "--addr-postgres", f"127.0.0.1:{free_port()}"]
    roapi += ["--addr-flight-sql", f"127.0.0.1:{port}", "--table", f"metrics={table}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    stream = subprocess.Popen([programs / "python", HERE / "peer.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with stream, subprocess.Popen(roapi, **quiet) as sql:
        try:
            beside = re.sub("^grpc", "http", stream.stdout.readline().strip())
            command = ["cargo", "bench", "--locked", "--quiet", "--package", "flightsql-server", "--bench", "stream", "--"]
            command += ["--stream-beside", beside, "--sql-beside", listening(sql, port), *sys.argv[1:]]
            return subprocess.run(command, cwd=HERE, check=False).returncode
        finally:
            stream.terminate()
            sql.terminate()


if __name__ == "__main__":
    sys.exit(main())
