#!/bin/sh
# Runs every curl of the README, in order, against the mock at $1: each has to succeed.
set -eu
origin=$1
# A request, so that taking it out of the record has something to take.
curl -sf -u app:secret -d grant_type=client_credentials "$origin/demo/oauth2/token" >/dev/null
# The login of a script is several lines that need each other.
login=$(sed -n '/^issuer=/,/^curl /p' ../../README.md | sed "s|http://localhost:8080|$origin|g" | sh)
case $login in *'"id_token"'*) ;; *) echo "failed: the login from a script: $login"; exit 1 ;; esac
grep '^curl ' ../../README.md | grep -v '"$issuer/' | sed "s|http://localhost:8080|$origin|g; s|^curl |curl -sS --fail-with-body |" | while read -r line; do
    sh -c "$line" >/tmp/mock-idp-readme.$$ 2>&1 || { echo "failed: $line"; cat /tmp/mock-idp-readme.$$; exit 1; }
done
rm -f /tmp/mock-idp-readme.$$
