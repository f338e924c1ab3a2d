#!/usr/bin/env python3
"""Drives the server with clients that others wrote, at pinned versions, and writes TABLE.md: client x command.

    clients/run.py [--server PATH] [--check] [CLIENT...]        CLIENT: python, go, java, node, rust

Clients are installed into clients/.installed/, which git ignores. A client whose tools are missing is NOT RUN: it is
said loudly, stands in the table, and the exit code is 2. A command that fails makes it 1; "fails itself" is a mistake of
the client, which never reaches the server as Flight SQL. With --check the table is not
written, but compared: a difference makes it 1.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
INSTALLED = HERE / ".installed"
SECRETS = {"TOKEN": "a-token-for-clients", "USER_NAME": "ann", "PASSWORD": "a-password"}


def python():
    environment = INSTALLED / "python"
    if not (environment / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", HERE / "python" / "requirements.txt"], check=True)
    return [environment / "bin" / "python", HERE / "python" / "check.py"]


def go():
    program = INSTALLED / "go-client"
    subprocess.run(["go", "build", "-mod=readonly", "-o", program, "."], cwd=HERE / "go", check=True)
    return [program]


def java():
    artifact = "org.apache.arrow:flight-sql-jdbc-driver:18.3.0"
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
    if not any((INSTALLED / "java").glob("flight-sql-jdbc-driver-18.3.0.jar")):
        folder = f"-DoutputDirectory={INSTALLED / 'java'}"
        subprocess.run(["mvn", "-q", "-B", copy, f"-Dartifact={artifact}", folder], check=True)
    opened = "--add-opens=java.base/java.nio=ALL-UNNAMED"
    return ["java", opened, "-cp", str(INSTALLED / "java" / "*"), HERE / "java" / "Check.java"]


def node():
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=HERE / "node", check=True)
    return ["node", HERE / "node" / "check.mjs"]


def rust():
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--workspace", "--example", "client"], cwd=HERE.parent, check=True)
    asked = ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"]
    metadata = subprocess.run(asked, cwd=HERE.parent, check=True, stdout=subprocess.PIPE)
    return [pathlib.Path(json.loads(metadata.stdout)["target_directory"]) / "debug" / "examples" / "client"]


# Each with the tools that must be there.
CLIENTS = {
    "python": (python, ["python3"]),
    "go": (go, ["go"]),
    "java": (java, ["java", "mvn"]),
    "node": (node, ["node", "npm"]),
    "rust": (rust, ["cargo"]),
}


def run(name, address):
    install, tools = CLIENTS[name]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        return None, f"{', '.join(missing)} not installed"
    try:
        command = install()
    except subprocess.CalledProcessError as error:
        return None, f"it could not be installed: {error}"
    host, port = address.removeprefix("grpc://").split(":")
    environment = {**os.environ, **SECRETS, "HOST": host, "PORT": port}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        lines.append({"client": name, "command": "exit", "result": "fail", "note": f"exit code {done.returncode}"})
    return lines, None


def table(results, missing):
    clients = list(dict.fromkeys(line["client"] for line in results))
    commands = list(dict.fromkeys(line["command"] for line in results))
    cells = {(line["client"], line["command"]): line["result"] for line in results}
    rows = ["| command | " + " | ".join(clients) + " |", "|---" * (len(clients) + 1) + "|"]
    rows += [f"| {c} | " + " | ".join(cells.get((client, c), "") for client in clients) + " |" for c in commands]
    rows += ["", *(f"NOT RUN: {name}: {why}" for name, why in missing)]
    return "\n".join(rows).rstrip() + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=HERE.parents[2] / "target" / "debug" / "flightsql-server")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("clients", nargs="*", choices=[*CLIENTS, []], default=[])
    arguments = parser.parse_args()
    INSTALLED.mkdir(exist_ok=True)
    results, missing = [], []
    for name in arguments.clients or CLIENTS:
        # A server for each, so that no client sees another's tables.
        command = [arguments.server, "--plaintext", "--listen", "127.0.0.1:0", "--quiet"]
        credentials = ["--token", SECRETS["TOKEN"], "--user", f"{SECRETS['USER_NAME']}:{SECRETS['PASSWORD']}"]
        with subprocess.Popen([*command, *credentials], stdout=subprocess.PIPE, text=True) as server:
            try:
                lines, why = run(name, server.stdout.readline().strip())
            finally:
                server.terminate()
        results += lines or []
        if why:
            missing.append((name, why))
            print(f"NOT RUN: {name}: {why}", file=sys.stderr)
    written, stale = HERE / "TABLE.md", False
    text = "# Clients that were driven, by `clients/run.py`\n\n" + table(results, missing)
    if not arguments.clients and arguments.check:
        stale = written.read_text() != text
    elif not arguments.clients:
        written.write_text(text)
    failed = [line for line in results if line["result"] == "fail"]
    for line in failed:
        print(f"FAILED: {line['client']}: {line['command']}: {line.get('note', '')}", file=sys.stderr)
    if stale:
        print("FAILED: TABLE.md is not what came out; write it with clients/run.py", file=sys.stderr)
    print(f"{len(results) - len(failed)} commands ok, {len(failed)} failed, {len(missing)} clients not run")
    # A failure is one whoever else is missing; the table cannot be whole then.
    return 1 if failed else 2 if missing else 1 if stale else 0


sys.exit(main())
