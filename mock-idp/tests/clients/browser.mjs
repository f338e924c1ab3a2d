// Headless Chromium with a profile of its own, and a login at the mock's page.
import { chromium } from "playwright-core";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export async function withBrowser(act) {
  const profile = mkdtempSync(join(tmpdir(), "mock-idp-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium",
    headless: true,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    await act(context);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

// Opens an authorization request, logs in, and returns the address that the browser is sent back to.
export async function login(context, url, callback, user) {
  const page = await context.newPage();
  const back = page.waitForRequest(request => request.url().startsWith(callback));
  await page.route(callback + "**", route => route.fulfill({ status: 200, body: "back" }));
  await page.goto(url);
  await page.getByLabel("User name").fill(user);
  await page.getByRole("button", { name: "Log in" }).click();
  return (await back).url();
}
