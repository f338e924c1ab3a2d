#!/bin/sh
# Installs the relying parties of the tests at pinned versions, into folders that git ignores.
# Chromium comes from the system: apt-get install chromium
set -eu
cd "$(dirname "$0")"
npm install --no-audit --no-fund --ignore-scripts
python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
command -v chromium >/dev/null || { echo "chromium is missing: apt-get install chromium" >&2; exit 1; }
