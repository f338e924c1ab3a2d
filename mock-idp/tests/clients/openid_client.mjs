// openid-client (npm): discovery, PKCE, login in Chromium, ID token, userinfo, refresh; and that it refuses a wrong nonce.
import assert from "node:assert/strict";
import * as client from "openid-client";
import { login, withBrowser } from "./browser.mjs";

const issuer = new URL(process.argv[2]);
const callback = "http://localhost:9/callback";
const options = { execute: [client.allowInsecureRequests] };
const config = await client.discovery(issuer, "npm-rp", "s e:c%ret", client.ClientSecretPost("s e:c%ret"), options);

async function loggedIn(context, user) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: callback, scope: "openid profile email offline_access", state, nonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256", prompt: "login",
  });
  const back = await login(context, url.href, callback, user);
  return client.authorizationCodeGrant(config, new URL(back), { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce });
}

// The library says what is wrong in the cause of its error.
const about = word => error => new RegExp(word).test(`${error.message} ${error.cause?.message} ${error.cause?.cause?.message}`);

await withBrowser(async context => {
  const tokens = await loggedIn(context, "erin");
  assert.equal(tokens.claims().sub, "erin");
  const info = await client.fetchUserInfo(config, tokens.access_token, "erin");
  assert.equal(info.email, "erin@example.test");
  const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
  assert.notEqual(renewed.access_token, tokens.access_token);

  const set = await fetch(issuer.origin + "/_mock/faults", { method: "POST", body: JSON.stringify({ fault: "wrong-nonce" }) });
  assert.equal(set.status, 201);
  await assert.rejects(loggedIn(context, "erin"), about("nonce"));
  const mixedUp = await fetch(issuer.origin + "/_mock/faults", { method: "POST", body: JSON.stringify({ fault: "wrong-iss-parameter", after: 1 }) });
  assert.equal(mixedUp.status, 201);
  await assert.rejects(loggedIn(context, "erin"), about("iss"));
});
