import { gzipSync } from "node:zlib";
import { eventually } from "@routeplane/testing";
import type { BrowserContextOptions, Page } from "playwright-core";
import type { TestBrowser, TestPage } from "./browser.ts";
import type { ConsoleNode } from "./console-node.ts";

const LOAD_MS = 90_000;

/** Signs a browser in. @returns options for contexts of the same session */
export async function signIn(node: ConsoleNode, browser: TestBrowser, token: string): Promise<BrowserContextOptions> {
  const { page, context } = await browser.open();
  await page.goto(await node.signInUrl(token));
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  const storageState = await context.storageState();
  await context.close();
  return { storageState };
}

/** Resolves once the page has a title and has finished all reads. */
export async function settled(page: Page): Promise<void> {
  await page.getByRole("heading", { level: 1 }).waitFor();
  const reading = page.locator("[aria-label=Loading], main [aria-busy=true]");
  await eventually(async () => (await reading.count()) === 0, LOAD_MS);
}

/** Script that stops the app's clock, which is read every 30 seconds. Otherwise a page would read its ranges again when a minute begins. */
const KEEP_THE_MINUTE = "const set = setInterval; setInterval = (work, ms) => (ms === 30_000 ? 0 : set(work, ms));";

/** Opens an address in a new context, and waits until its page has finished all reads. Its ranges do not move on. */
export async function view(browser: TestBrowser, url: string, options?: BrowserContextOptions): Promise<TestPage> {
  const opened = await browser.open(options);
  await opened.context.addInitScript(KEEP_THE_MINUTE);
  await opened.page.goto(url);
  await settled(opened.page);
  return opened;
}

/** Bytes of gzip-compressed script that a browser without a cache loads for the first view of an address. */
export async function scriptBytes(browser: TestBrowser, url: string, options: BrowserContextOptions): Promise<number> {
  const { page, context } = await browser.open(options);
  const scripts: Promise<Buffer>[] = [];
  context.on("response", (response) => {
    if (response.request().resourceType() === "script") scripts.push(response.body());
  });
  await page.goto(url);
  await settled(page);
  const bytes = (await Promise.all(scripts)).reduce((sum, body) => sum + gzipSync(body).length, 0);
  await context.close();
  return bytes;
}
