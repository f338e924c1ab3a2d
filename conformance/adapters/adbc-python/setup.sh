#!/usr/bin/env bash
# Installs the released driver, at the pinned versions, into a folder that git ignores.
set -euo pipefail
cd "$(dirname "$0")"
python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
.venv/bin/python -c 'import adbc_driver_flightsql as d; print("adbc-driver-flightsql", d.__version__)'
