import { newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import type { BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { formatCount, formatUsd } from "../../app/src/format/money.ts";
import { fillRequests } from "../../../../test/harness/request-rows.ts";
import { accessibilityFaults } from "./accessibility.ts";
import type { TestBrowser, TestPage } from "./browser.ts";
import type { ConsoleNode } from "./console-node.ts";
import { scriptBytes, settled, signIn, view } from "./page-view.ts";
import { ask, FILL_MS, fillNamespace, HOSTILE_NAME, jsonOf, LONG_MODEL, type SampleData } from "./sample-data.ts";
import { connectSharedConsole } from "./shared-console.ts";

const DAY_MS = 86_400_000;
/** Bounds of the first view of a page. */
const [MAX_SCRIPT_BYTES, MAX_CALLS] = [150_000, 6];

let node: ConsoleNode;
let browser: TestBrowser;
/** Token of the root key of this file's namespace. */
let token: string;
let data: SampleData;
/** Ids of another namespace. */
let foreign: Readonly<Record<"key" | "pol" | "req", string>>;
/** Cookie of a session of the root key, and of one of the operator. */
let asRoot: BrowserContextOptions;
let asOperator: BrowserContextOptions;

beforeAll(async () => {
  ({ node, browser } = await connectSharedConsole());
  const namespace = await node.createNamespace("pages");
  token = namespace.token;
  data = await fillNamespace(node, namespace);
  foreign = await fillForeignNamespace();
  asRoot = await signIn(node, browser, token);
  asOperator = await signIn(node, browser, await node.operatorKey());
}, FILL_MS);
afterEach(() => browser.closePages());
afterAll(() => browser.close());

/** Creates a namespace with a key, a policy and a request. */
async function fillForeignNamespace(): Promise<typeof foreign> {
  const theirs = await node.createNamespace("foreign");
  const { keys } = await node.rpc<{ keys: readonly { id: string }[] }>("auth.v1.KeyService/ListKeys", theirs.token, {});
  const spec = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "5000000" } };
  const { policy } = await node.rpc<{ policy: { id: string } }>("policy.v1.PolicyService/CreatePolicy", theirs.token, {
    name: "theirs",
    spec,
  });
  return { key: keys[0]?.id ?? "", pol: policy.id, req: await ask(node, theirs.token, "Is this secret?") };
}

/** Views a page as the root key. */
const open = (path: string, options: BrowserContextOptions = asRoot): Promise<TestPage> =>
  view(browser, node.consoleUrl + path, options);

/** Width by which the page exceeds the screen. Pixels. */
const overflow = (page: Page): Promise<number> =>
  page.evaluate<number>("document.documentElement.scrollWidth - document.documentElement.clientWidth");

const PAGES: readonly { readonly name: string; readonly path: () => string; readonly operator?: true }[] = [
  { name: "overview", path: () => "/?range=30d" },
  { name: "requests", path: () => "/requests?range=30d" },
  { name: "keys", path: () => "/keys" },
  { name: "key", path: () => `/keys/${data.agent.id}` },
  { name: "policies", path: () => "/policies" },
  { name: "policy", path: () => `/policies/${data.budgetId}` },
  { name: "audit", path: () => "/audit" },
  { name: "quick-start", path: () => "/quick-start" },
  { name: "namespaces", path: () => "/namespaces", operator: true },
];

describe.each(PAGES)("the page $name", ({ path, operator }) => {
  it("makes few calls, breaks no accessibility rule, and fits every screen, in light and dark", async () => {
    const opened = await open(path(), operator === true ? asOperator : asRoot);
    const { page, calls, faults } = opened;
    expect(calls.length, calls.join(" ")).toBeLessThanOrEqual(MAX_CALLS);
    await page.emulateMedia({ colorScheme: "light" });
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.emulateMedia({ colorScheme: "dark" });
    expect(await accessibilityFaults(page, "colors")).toEqual([]);
    for (const [width, height] of [
      [390, 844],
      [3_840, 2_160],
    ] as const) {
      await page.setViewportSize({ width, height });
      // The page is laid out for the new size with its next frame.
      await eventually(async () => {
        expect(await overflow(page), `${width} pixels`).toBe(0);
        return true;
      });
    }
    expect(faults).toEqual([]);
  });
});

it("loads at most 150 kB of script, compressed, until the overview shows", async () => {
  const bytes = await scriptBytes(browser, `${node.consoleUrl}/`, asRoot);
  expect(bytes).toBeLessThanOrEqual(MAX_SCRIPT_BYTES);
  expect(bytes).toBeGreaterThan(50_000);
});

/** Usage as the CLI prints it. */
interface Usage {
  readonly request_count: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly spend_micro_usd: number;
  readonly denied_count: number;
}

describe("the overview", () => {
  it("reads the data of its chart once, although the read starts before the page is rendered", async () => {
    const { calls } = await open("/?range=30d&by=model");
    expect(calls.filter((call) => call === "UsageService/GetUsage")).toHaveLength(4);
  });

  it("reads the budgets again every minute while it is open, like the usage", async () => {
    const { page, calls } = await browser.open(asRoot);
    await page.clock.install();
    await page.goto(`${node.consoleUrl}/?range=24h`);
    await settled(page);
    const reads = (of: string) => calls.filter((call) => call === of).length;
    const before = reads("PolicyService/ListPolicies");
    const usageBefore = reads("UsageService/GetUsage");
    await page.clock.runFor(61_000);
    await eventually(() => reads("UsageService/GetUsage") > usageBefore);
    await eventually(() => reads("PolicyService/ListPolicies") > before);
  });

  it("shows the numbers of `usage --json`, exactly", async () => {
    // The range has ended, so that new requests do not count.
    const range = { from: new Date(Date.now() - 20 * DAY_MS).toISOString(), to: new Date().toISOString() };
    const usage = await jsonOf<Usage>(node, token, ["cloud", "usage", "--from", range.from, "--to", range.to]);
    const { page } = await open(`/?${new URLSearchParams(range).toString()}`);
    const shown = await page
      .locator("main li data")
      .evaluateAll((all) => all.map((each) => each.getAttribute("value")));
    const tokens = usage.prompt_tokens + usage.completion_tokens;
    const numbers = [usage.spend_micro_usd, usage.request_count, tokens, usage.denied_count];
    expect(shown).toEqual(numbers.map(String));
    expect(usage.spend_micro_usd).toBeGreaterThan(0);
    await page.getByText("Numbers of this chart").click();
    // The latencies also have a row for all models.
    const all = page.getByRole("table", { name: /^Numbers of/ }).getByRole("row", { name: /^All/ });
    expect(await all.getByRole("cell").first().innerText()).toBe(formatUsd(BigInt(usage.spend_micro_usd)));
  });

  it("shows the largest keys by each measure, and all others as one, if there are more keys than groups in a read", async () => {
    const crowded = await node.createNamespace("crowded");
    const [toMs, fromMs] = [Date.now(), Date.now() - 30 * DAY_MS];
    // The first 20 keys have more requests, each one more than the one before.
    const keyIds = Array.from({ length: 500 }, () => newId("key")).flatMap((id, index) =>
      Array.from({ length: index < 20 ? 3 + index : 1 }, () => id),
    );
    await fillRequests(node, { namespaceId: crowded.id, rows: 25_000, fromMs, toMs, keyIds });
    const range = { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() };
    const byKey = ["cloud", "usage", "--group-by", "key", "--sort", "request_count"];
    const asked = [...byKey, "--from", range.from, "--to", range.to];
    const { groups } = await jsonOf<{ groups: readonly Usage[] }>(node, crowded.token, asked);
    expect(groups).toHaveLength(500);
    const session = await signIn(node, browser, crowded.token);
    const [largest, others] = [groups.slice(0, 7), groups.slice(7)];
    const sumOf = (of: readonly Usage[]) => of.reduce((sum, { request_count }) => sum + request_count, 0);
    for (const show of ["requests", "spend"]) {
      const { page } = await open(`/?${new URLSearchParams({ ...range, show }).toString()}`, session);
      const rows = page.getByRole("table", { name: /^Table: Top keys by/ }).locator("tbody tr");
      const counts = await rows.evaluateAll((all) => all.map((row) => row.querySelectorAll("td")[1]?.textContent));
      expect(counts).toEqual([...largest.map((group) => [group]), others].map((of) => formatCount(sumOf(of))));
      expect(await rows.last().innerText()).toMatch(/^493 others/);
      await page.getByText("Numbers of this chart").click();
      const numbers = page.getByRole("table", { name: /^Numbers of/ });
      expect(await numbers.getByRole("columnheader").last().innerText()).toBe("Rest");
      const totals = await numbers.getByRole("row", { name: /^All/ }).getByRole("cell").allInnerTexts();
      const amounts = [...largest.map((group) => [group]), others].map((of) =>
        show === "requests"
          ? formatCount(sumOf(of))
          : formatUsd(BigInt(of.reduce((sum, { spend_micro_usd }) => sum + spend_micro_usd, 0))),
      );
      expect(totals.slice(1)).toEqual(amounts);
      await page.close();
    }
  });

  it("links a bar to its requests, by pointer and by keyboard", async () => {
    const { page } = await open("/?range=30d&show=requests");
    const bar = page.locator("[data-bucket]").nth(15);
    const [, all, , part] = /: (\d+); (.+?) (\d+);/.exec((await bar.getAttribute("aria-label")) ?? "") ?? [];
    await bar.locator("[data-series='0']").click();
    await page.getByText(`All of this range is shown: ${part} requests.`).waitFor();
    expect(await page.getByRole("table").locator("tbody tr").count()).toBe(Number(part));
    await page.goBack();
    await settled(page);
    await bar.focus();
    await page.keyboard.press("Enter");
    await page.getByText(`All of this range is shown: ${all} requests.`).waitFor();
    expect(await page.getByRole("table").locator("tbody tr").count()).toBe(Number(all));
  });
});

describe.each([
  { name: "of a key", path: () => `/keys/${data.agent.id}`, method: "GetUsage" },
  { name: "of the node", path: () => "/namespaces", method: "GetNodeUsage", operator: true },
] as const)("the chart $name", ({ path, method, ...options }) => {
  const openChart = async (query: string) => {
    const { page } = await open(`${path()}${query}`, "operator" in options ? asOperator : asRoot);
    return page;
  };

  it("keeps its numbers until those of another range have been read", async () => {
    const page = await openChart("?range=30d&show=requests");
    await page.getByText("Numbers of this chart").click();
    const numbers = page.getByRole("table", { name: /^Numbers of/ });
    const before = await numbers.innerText();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await page.route(new RegExp(`/${method}$`), async (route) => {
      await released;
      await route.continue();
    });
    await page.getByLabel("Range").selectOption("24h");
    await page.locator("main [aria-busy=true]").first().waitFor();
    expect(await numbers.innerText()).toBe(before);
    release();
    await settled(page);
    await numbers.getByRole("row").nth(20).waitFor();
    expect(await numbers.getByRole("row").nth(1).innerText()).toMatch(/\d\d:\d\d–\d\d:\d\d/);
  });

  it("is not drawn for more days than it has bars", async () => {
    const page = await openChart("?from=2020-01-01T00:00:00Z&to=2027-01-01T00:00:00Z&show=requests");
    await page.getByText("This range has more than 1,000 days.").waitFor();
  });
});

it("links the refusals of a key to the refused requests", async () => {
  const { page } = await open(`/keys/${data.agent.id}?range=24h&show=refusals`);
  await page.locator("[data-bucket] [data-series='0']").last().click();
  await page.getByRole("heading", { level: 1, name: "Requests" }).waitFor();
  await settled(page);
  const statuses = page.getByRole("table").locator("tbody tr td:nth-child(2)");
  expect(await statuses.allInnerTexts()).toEqual([expect.stringContaining("denied")]);
});

describe("a page whose script cannot be loaded", () => {
  it("is shown once the console has the script again, e.g. after a restart or an update", async () => {
    const { page } = await open("/quick-start");
    await page.route(/assets\/audit-.*\.js$/, (route) => route.fulfill({ status: 404 }), { times: 1 });
    await page.getByRole("link", { name: "Audit", exact: true }).click();
    await page.getByRole("table", { name: "Changes, newest first" }).waitFor();
  });

  it("says so, if the console never has it", async () => {
    const { page } = await open("/quick-start");
    await page.route(/assets\/audit-.*\.js$/, (route) => route.fulfill({ status: 404 }));
    await page.getByRole("link", { name: "Audit", exact: true }).click();
    await page.getByText("This part of the page failed.").waitFor();
    await page.getByRole("link", { name: "Keys", exact: true }).click();
    await page.getByRole("table", { name: "Keys" }).waitFor();
  });
});

it("shows a page that is opened by a link from its top, and the former one where it was left", async () => {
  const { page } = await open("/keys");
  await page.setViewportSize({ width: 1_280, height: 300 });
  const link = page.getByRole("main").getByRole("link", { name: "checkout-worker" });
  await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)");
  const left = await page.evaluate<number>("scrollY");
  expect(left).toBeGreaterThan(0);
  await link.press("Enter");
  await page.getByRole("heading", { level: 1, name: "checkout-worker" }).waitFor();
  await settled(page);
  expect(await page.evaluate("[scrollY, document.activeElement.id]")).toEqual([0, "content"]);
  await page.goBack();
  await link.waitFor();
  await expect.poll(() => page.evaluate<number>("scrollY")).toBe(left);
});

describe("the request log", () => {
  it("names only filters that apply, and none of an address that has no meaning", async () => {
    const { page } = await open(`/requests?status=error&range=2w&key=${data.agent.id}`);
    expect(await page.getByRole("list", { name: "Active filters" }).getByRole("listitem").allInnerTexts()).toEqual([
      expect.stringContaining("checkout-agent"),
    ]);
  });

  it("shows a new request while it is followed, without a reload", async () => {
    const { page, faults } = await open("/requests");
    await page.getByRole("switch", { name: "Live tail" }).click();
    await page.getByText("Live", { exact: true }).waitFor();
    const id = await ask(node, data.agent.token, "Who won?");
    await page.locator(`a[href="/requests/${id}"]`).waitFor();
    expect(faults).toEqual([]);
  });
});

describe("a browser whose clock is wrong", () => {
  it.each([-3, 3])("sees the requests of the last hour, %i hours from the node's time", async (hours) => {
    const id = await ask(node, data.agent.token, "What time is it?");
    const { page, context } = await browser.open(asRoot);
    await context.addInitScript(`const now = Date.now; Date.now = () => now() + ${hours * 3_600_000};`);
    await page.goto(`${node.consoleUrl}/requests?range=1h`);
    await page.locator(`a[href="/requests/${id}"]`).waitFor();
    await context.close();
  });
});

it("shows names that clients chose as text, whatever characters they contain", async () => {
  const opened = await open("/keys");
  const { page } = opened;
  await page.getByText(HOSTILE_NAME, { exact: true }).first().waitFor();
  expect(await page.locator("img").count()).toBe(0);
  await page.goto(`${node.consoleUrl}/requests?range=30d`);
  await settled(page);
  await page.getByText(LONG_MODEL).first().waitFor();
  expect(await overflow(page)).toBe(0);
  expect(opened.faults).toEqual([]);
});

describe("an id of another namespace", () => {
  it.each([
    { kind: "key", folder: "keys" },
    { kind: "pol", folder: "policies" },
    { kind: "req", folder: "requests" },
  ] as const)("is answered like one that does not exist: $kind", async ({ kind, folder }) => {
    const answerTo = async (id: string): Promise<string> => {
      const { page } = await open(`/${folder}/${id}`);
      await page
        .getByText(/no such|not found|does not exist/i)
        .first()
        .waitFor();
      const text = await page.getByRole("main").innerText();
      return text.replaceAll(id, "<id>").replaceAll(/req_\w+/g, "<request>");
    };
    expect(await answerTo(foreign[kind])).toBe(await answerTo(newId(kind)));
  });
});
