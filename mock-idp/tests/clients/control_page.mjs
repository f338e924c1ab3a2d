// The control page: a fault is switched on with the keyboard, a client fails, the record shows it, light and dark.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { withBrowser } from "./browser.mjs";

const issuer = new URL(process.argv[2]);
const control = issuer.origin + "/_mock/";
mkdirSync("screenshots", { recursive: true });
const token = () => fetch(issuer.href + "/oauth2/token", { method: "POST",
  body: new URLSearchParams({ grant_type: "client_credentials", client_id: "page-test", client_secret: "a-secret-of-the-page" }) });

await withBrowser(async context => {
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", error => problems.push(error.message));
  page.on("console", message => { if (message.type() === "error") problems.push(message.text()); });
  page.on("request", request => { if (!request.url().startsWith(issuer.origin)) problems.push("fetched " + request.url()); });
  await fetch(issuer.href + "/.well-known/openid-configuration");
  await page.goto(control);
  await page.getByText("live", { exact: true }).waitFor();
  await page.locator("#issuer").selectOption("/demo");

  // A fault, with the keyboard alone.
  await page.getByLabel("Find a fault").fill("invalid-client");
  const fault = page.getByRole("switch", { name: "invalid-client" });
  await fault.focus();
  await page.keyboard.press("Space");
  await page.getByText("invalid-client is on").waitFor();
  assert.equal(await fault.getAttribute("aria-checked"), "true");

  assert.equal((await token()).status, 401);
  assert.equal((await token()).status, 200);
  const hit = page.locator("#record details", { hasText: "401" }).first();
  await hit.waitFor();
  assert.match(await hit.innerText(), /page-test/);
  assert.match(await hit.innerText(), /invalid-client/);
  await hit.locator("summary").focus();
  await page.keyboard.press("Enter");
  await hit.locator("pre", { hasText: "[redacted]" }).first().waitFor();
  const shown = await hit.innerText();
  assert.ok(shown.includes("[redacted]") && !shown.includes("a-secret-of-the-page"), shown);
  await page.locator('[data-fault=invalid-client][aria-checked="false"]').waitFor();
  await page.getByLabel("Find a fault").fill("");
  await page.screenshot({ path: "screenshots/control-light.png", fullPage: true });

  // Clock and keys.
  await page.getByRole("button", { name: "+1 h" }).click();
  await page.getByText("+3600 s").waitFor();
  await page.getByRole("button", { name: "Rotate" }).click();
  await page.getByText("rs256-2").waitFor();

  // A login from the page, back to it, and its ID token looked into.
  await page.getByRole("link", { name: "Log in (code)" }).click();
  await page.getByLabel("User name").fill("grace");
  await page.screenshot({ path: "screenshots/login.png" });
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator("#inspected", { hasText: '"sub": "grace"' }).waitFor();
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: "screenshots/control-dark.png", fullPage: true });

  for (const grant of ["client_credentials", "token-exchange", "jwt-bearer", "refresh_token"]) {
    await page.getByRole("button", { name: grant, exact: true }).click();
    await page.locator("#tried", { hasText: /^200/ }).waitFor();
  }
  await page.setViewportSize({ width: 390, height: 844 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it fits a phone");
  assert.deepEqual(problems, []);
});
