#!/usr/bin/env bash
# Builds the plugin, at the pinned versions of go.sum, into a folder that git ignores.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v go > /dev/null; then
  echo "setup.sh: needs Go 1.26 or newer on PATH; the tests of this plugin are NOT RUN without it" >&2
  exit 1
fi
mkdir -p dist
go build -trimpath -o "dist/gpx_flightsql_$(go env GOOS)_$(go env GOARCH)" .
cp plugin.json dist/
echo "flightcheck-flightsql-datasource built with $(go env GOVERSION)"
