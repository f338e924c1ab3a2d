"""Authlib (PyPI): PKCE, login in Chromium, ID token, userinfo, refresh; and that it refuses a wrong signature."""

import json
import subprocess
import sys
import urllib.request

from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, JsonWebToken
from authlib.oidc.core import CodeIDToken

issuer = sys.argv[1]
callback = "http://localhost:9/callback"


def get(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


metadata = get(issuer.rstrip("/") + "/.well-known/openid-configuration")


def logged_in(user):
    session = OAuth2Session("pypi-rp", "s e:c%ret", scope="openid profile email offline_access", redirect_uri=callback,
                            code_challenge_method="S256", token_endpoint=metadata["token_endpoint"])
    verifier, nonce = generate_token(48), generate_token(20)
    url, state = session.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
    back = subprocess.run(["node", "login.mjs", url, callback, user], capture_output=True, text=True, check=True).stdout.strip()
    token = session.fetch_token(authorization_response=back, state=state, code_verifier=verifier)
    claims = JsonWebToken(["RS256"]).decode(
        token["id_token"], JsonWebKey.import_key_set(get(metadata["jwks_uri"])), claims_cls=CodeIDToken,
        claims_options={"iss": {"value": metadata["issuer"]}, "aud": {"value": "pypi-rp"}},
        claims_params={"nonce": nonce, "client_id": "pypi-rp", "access_token": token["access_token"]})
    claims.validate()
    return session, token, claims


session, token, claims = logged_in("frank")
assert claims["sub"] == "frank", claims
about = session.get(metadata["userinfo_endpoint"]).json()
assert about["sub"] == "frank" and about["email"] == "frank@example.test", about
renewed = session.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"])
assert renewed["access_token"] != token["access_token"]

origin = "/".join(issuer.split("/")[:3])
fault = urllib.request.Request(origin + "/_mock/faults", data=b'{"fault": "wrong-key"}')
assert urllib.request.urlopen(fault).status == 201
try:
    logged_in("frank")
except Exception as error:  # Authlib's own class differs between its versions
    assert "signature" in f"{type(error).__name__} {error}".lower(), repr(error)
else:
    raise SystemExit("a wrong signature was taken")
