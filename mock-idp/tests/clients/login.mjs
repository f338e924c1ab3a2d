// For relying parties of other languages: logs in at an address and prints where the browser is sent back to.
import { login, withBrowser } from "./browser.mjs";
const [url, callback, user] = process.argv.slice(2);
await withBrowser(async context => console.log(await login(context, url, callback, user)));
