#!/usr/bin/env bash
# Installs the released exporter, at the pinned versions, into a folder that git ignores.
set -euo pipefail
cd "$(dirname "$0")"
python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
.venv/bin/python -c 'from opentelemetry.exporter.otlp.proto.http.version import __version__ as v; print("opentelemetry-exporter-otlp-proto-http", v)'
