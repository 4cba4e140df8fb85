import type { BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { INSTALL_MS, startBrowser, type TestBrowser } from "./browser.ts";
import { startConsoleNode, type StartedConsoleNode } from "./console-node.ts";
import { signIn } from "./page-view.ts";
import { fillNamespace } from "./sample-data.ts";

/** Node of this file only, because its processes are killed. */
let node: StartedConsoleNode;
let browser: TestBrowser;
let session: BrowserContextOptions;

beforeAll(async () => {
  [node, browser] = await Promise.all([startConsoleNode(), startBrowser()]);
  const namespace = await node.createNamespace("faults");
  await fillNamespace(node, namespace);
  session = await signIn(node, browser, namespace.token);
}, INSTALL_MS);
afterEach(() => browser.closePages());
afterAll(async () => {
  await browser.close();
  await node.remove();
});

async function openPage(path: string): Promise<Page> {
  const { page } = await browser.open(session);
  await page.goto(node.consoleUrl + path);
  return page;
}

it("shows the other parts of a page if one part throws", async () => {
  const { page } = await browser.open(session);
  // Only the axis of the chart uses Intl.NumberFormat.
  await page.addInitScript("Intl.NumberFormat = class { constructor() { throw new Error('no numbers'); } };");
  await page.goto(`${node.consoleUrl}/?range=30d&show=requests`);
  await page.getByText("This part of the page failed.").first().waitFor();
  await page.getByRole("table", { name: /Top keys/ }).waitFor();
  await page.getByRole("link", { name: "Keys", exact: true }).click();
  await page.getByText("checkout-agent").first().waitFor();
});

it.each([
  { role: "usage", path: "/requests", other: "/policies", stays: "team-month" },
  // Pages that have already read policies keep showing them for a while; this page reads none.
  { role: "policy", path: "/policies", other: "/quick-start", stays: "curl" },
  { role: "auth", path: "/keys", other: "/", stays: "Signed in by" },
])("stays while $role does not answer, and says so where it is missed", async ({ role, path, other, stays }) => {
  const page = await openPage(other);
  await page.getByText(stays).first().waitFor();
  await node.whileDown(role, async () => {
    await page.getByRole("navigation", { name: "Pages" }).locator(`a[href="${path}"]`).click();
    const notice = page.getByRole("alert").first();
    await notice.waitFor();
    expect(await notice.innerText()).toMatch(/cannot be read|not answer|unavailable/i);
    await page.getByRole("navigation", { name: "Pages" }).locator(`a[href="${other}"]`).click();
    await page.getByText(stays).first().waitFor();
  });
});

it("keeps people signed in across a crash of the console", async () => {
  const page = await openPage("/keys");
  await page.getByText("checkout-agent").first().waitFor();
  await node.kill("console");
  await page.getByRole("link", { name: "Policies", exact: true }).click();
  await page.getByText("team-month").first().waitFor();
});

it("reports that auth does not answer when it is opened, and shows the page once it does", async () => {
  const { page } = await browser.open(session);
  await node.whileDown("auth", async () => {
    await page.goto(`${node.consoleUrl}/keys`);
    await page.getByText("This page tries again automatically.").waitFor();
    expect(await page.getByRole("alert").innerText()).toMatch(/auth/);
  });
  await page.getByText("checkout-agent").first().waitFor();
});
