import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ListKeysRequestSchema, ListKeysResponseSchema } from "@routeplane/contracts/auth";
import { newId } from "@routeplane/domain";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { TestBrowser } from "./browser.ts";
import type { ConsoleNode } from "./console-node.ts";
import { signIn, view } from "./page-view.ts";
import { FILL_MS, fillNamespace, jsonOf, type SampleData } from "./sample-data.ts";
import { connectSharedConsole } from "./shared-console.ts";

let node: ConsoleNode;
let browser: TestBrowser;
let session: BrowserContextOptions;
/** Token of the root key of this file's namespace. */
let rootKey: string;
let data: SampleData;

beforeAll(async () => {
  ({ node, browser } = await connectSharedConsole());
  const namespace = await node.createNamespace("changes");
  rootKey = namespace.token;
  data = await fillNamespace(node, namespace);
  session = await signIn(node, browser, rootKey);
}, FILL_MS);
afterEach(() => browser.closePages());
afterAll(() => browser.close());

const open = (path: string) => view(browser, node.consoleUrl + path, session);
const dialog = (page: Page) => page.getByRole("dialog");
const tokenIn = async (page: Page): Promise<string> => {
  const [token = ""] = /rp_live_\w+/.exec(await dialog(page).innerText()) ?? [];
  return token;
};
/** Waits for a dialog to show a token. */
async function shown(page: Page): Promise<Page> {
  await dialog(page).getByText("shown now and never again").waitFor();
  return page;
}

const BROWSER_ZONE = "new Intl.DateTimeFormat().resolvedOptions().timeZone";

/** Status of a model call with a token. */
const statusOf = async (token: string): Promise<number> =>
  (await fetch(`${node.url}/v1/models`, { headers: { authorization: `Bearer ${token}` } })).status;

/** All texts that a page and its browser hold, joined. */
async function heldBy(page: Page, consoleTexts: readonly string[]): Promise<string> {
  const stores = "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state, document.cookie])";
  return [
    await page.content(),
    page.url(),
    await page.evaluate<string>(stores),
    JSON.stringify(await page.context().cookies()),
    ...consoleTexts,
  ].join("\n");
}

describe("a key", () => {
  it("is minted with a token that works, is shown once, and is stored nowhere after that", async () => {
    const { page, consoleTexts, faults } = await open("/keys");
    await page.getByRole("button", { name: /^Mint/ }).first().click();
    await dialog(page).getByRole("textbox", { name: "Name" }).fill("minted in a browser");
    await dialog(page).getByRole("button", { name: "Mint" }).click();
    await dialog(page).getByText("shown now and never again").waitFor();
    const token = await tokenIn(page);
    expect(await statusOf(token)).toBe(200);
    await page.setViewportSize({ width: 390, height: 844 });
    await dialog(page).getByText("Call a model with this token").click();
    const tooWide = "document.querySelector('dialog').scrollWidth - document.querySelector('dialog').clientWidth";
    await expect.poll(() => page.evaluate<number>(tooWide)).toBe(0);
    await page.setViewportSize({ width: 1_280, height: 900 });
    await dialog(page).getByRole("button", { name: "I have saved it" }).click();
    await page.getByRole("link", { name: "minted in a browser" }).click();
    await page.getByRole("heading", { level: 1, name: "minted in a browser" }).waitFor();
    const [, secret = ""] = /_\w{8}(\w{20})/.exec(token) ?? [];
    expect(secret).toHaveLength(20);
    expect(await heldBy(page, consoleTexts)).not.toContain(secret);
    await page.goBack();
    expect(await heldBy(page, consoleTexts)).not.toContain(secret);
    const folder = join(node.home, "log");
    for (const file of await readdir(folder)) expect(await readFile(join(folder, file), "utf8")).not.toContain(secret);
    expect(faults).toEqual([]);
  });

  it("is minted with a budget of a calendar window, in the time zone of the browser unless another is typed", async () => {
    const { page, faults } = await open("/keys");
    await page.getByRole("button", { name: /^Mint/ }).first().click();
    await dialog(page).getByRole("textbox", { name: "Name" }).fill("of a month");
    await dialog(page).getByLabel("Budget in USD").fill("5");
    const timeZone = dialog(page).getByLabel("Time zone of the budget");
    expect(await timeZone.count()).toBe(0);
    await dialog(page).getByLabel("Window of the budget").selectOption("calendar_month");
    expect(await timeZone.inputValue()).toBe(await page.evaluate<string>(BROWSER_ZONE));
    await timeZone.fill("Mars/Olympus");
    await dialog(page).getByRole("button", { name: "Mint" }).click();
    await dialog(page).getByText("Write the name of a time zone").waitFor();
    await timeZone.fill("Asia/Tokyo");
    await dialog(page).getByRole("button", { name: "Mint" }).click();
    const token = await tokenIn(await shown(page));
    const limits = await node.cli(["cloud", "limits", "--json"], { environment: { ROUTEPLANE_API_KEY: token } });
    const { data: rows } = JSON.parse(limits.stdout) as { readonly data: readonly object[] };
    expect(rows).toContainEqual(expect.objectContaining({ window: "calendar_month", time_zone: "Asia/Tokyo" }));
    expect(faults).toEqual([]);
  });

  it("is rotated: the new token works, and without a grace the old one does not", async () => {
    const { page } = await open(`/keys/${data.hostile.id}`);
    await page.getByRole("button", { name: "Rotate" }).click();
    await dialog(page).getByText("Sessions that it opened in the console go on").waitFor();
    await dialog(page).getByLabel("Grace of the old token").selectOption("0");
    await dialog(page).getByText("Sessions that it opened in the console end at once").waitFor();
    await dialog(page).getByRole("button", { name: "Rotate" }).click();
    await dialog(page).getByText("refused from now on").waitFor();
    expect(await statusOf(await tokenIn(page))).toBe(200);
    await expect.poll(() => statusOf(data.hostile.token), { timeout: 5_000 }).toBe(401);
  });

  it("is revoked with the keys below it, after their number was shown", async () => {
    const { page } = await open(`/keys/${data.agent.id}`);
    await page.getByRole("button", { name: "Revoke" }).click();
    await dialog(page).getByText("1 active key below it ends with it").waitFor();
    await dialog(page).getByRole("checkbox").check();
    await dialog(page).getByRole("button", { name: "Revoke 2 keys" }).click();
    await dialog(page).waitFor({ state: "detached" });
    await page.getByRole("main").getByText("revoked").first().waitFor();
    await expect.poll(() => statusOf(data.worker.token), { timeout: 5_000 }).toBe(401);
    await page.goto(`${node.consoleUrl}/keys/${data.worker.id}`);
    await page.getByText("above it is revoked, and so is this key.").waitFor();
  });
});

it("edits a budget with a calendar window in the form, and validates the time zone while it is typed", async () => {
  const { page, faults } = await open("/policies/new?kind=budget");
  await page.getByLabel("Name").first().fill("books");
  await page.getByLabel("Limit in USD").fill("200");
  await page.getByLabel("Window").selectOption("calendar_month");
  const timeZone = page.getByLabel("Time zone", { exact: true });
  expect(await timeZone.last().inputValue()).toBe(await page.evaluate<string>(BROWSER_ZONE));
  await timeZone.last().fill("Mars/Olympus");
  await page.getByText("Must be the name of a time zone, e.g. Europe/Berlin.").waitFor();
  await timeZone.last().fill("Europe/Berlin");
  await page.getByRole("button", { name: "Create the policy" }).click();
  await page.getByRole("heading", { level: 1, name: "books" }).waitFor();
  await page.getByText("in a calendar month, Europe/Berlin").first().waitFor();
  expect(faults).toEqual([]);
});

it("previews a policy with the numbers of `policy simulate --json`, and creates it", async () => {
  const { page, faults } = await open("/policies/new?kind=guardrail");
  await page.getByLabel("Name").first().fill("no-claude");
  await page.getByRole("button", { name: "Edit as JSON" }).click();
  const spec = { model_deny: ["claude-*"] };
  await page.getByLabel("Spec as JSON").fill(JSON.stringify(spec));
  await page.getByLabel("Days back").fill("30");
  await page.getByRole("button", { name: "Simulate" }).click();
  const byKey = page.getByRole("table", { name: "Refused by key" });
  await byKey.waitFor();
  const args = ["cloud", "policy", "simulate", "--kind", "guardrail", "--spec", "-", "--days", "30"];
  const simulated = await jsonOf<{
    readonly request_count: number;
    readonly refused_count: number;
    readonly by_key: readonly { readonly request_count: number; readonly refused_count: number }[];
  }>(node, rootKey, args, JSON.stringify(spec));
  expect(simulated.refused_count).toBeGreaterThan(0);
  const refused = page.getByText("Refused", { exact: true }).locator("xpath=following-sibling::dd").first();
  expect(await refused.innerText()).toMatch(
    new RegExp(`^${simulated.refused_count}\\s+of ${simulated.request_count} requests$`),
  );
  const rows = await byKey.locator("tbody tr").allInnerTexts();
  const numbers = rows.map((row) => row.split("\t").slice(1, 3).map(Number));
  expect(numbers).toEqual(simulated.by_key.map((key) => [key.request_count, key.refused_count]));
  await page.getByRole("button", { name: "Create the policy" }).click();
  await page.getByRole("heading", { level: 1, name: "no-claude" }).waitFor();
  await page.getByText("shadow").first().waitFor();
  expect(faults).toEqual([]);
});

it("binds a policy to the id that the field shows, and to none while the id is not complete", async () => {
  const namespace = await node.createNamespace("bind-by-id");
  const mint = { name: "without keys:read", scopes: ["policy:*"], namespace: "bind-by-id" };
  const { token } = await node.rpc<{ token: string }>("auth.v1.KeyService/MintRootKey", await node.operatorKey(), mint);
  const { policy } = await node.rpc<{ policy: { id: string } }>("policy.v1.PolicyService/CreatePolicy", token, {
    name: "nothing",
    spec: { guardrail: { modelAllow: {} } },
  });
  const { key } = await node.rpc<{ key: { id: string } }>("auth.v1.KeyService/MintKey", namespace.token, {
    name: "agent",
    scopes: ["inference:invoke"],
  });
  const bindings = () =>
    node.rpc<object>("policy.v1.PolicyService/ListBindings", token, { policyId: policy.id }) as Promise<{
      readonly bindings?: readonly { readonly principalId: string }[];
    }>;
  const { page } = await view(browser, `${node.consoleUrl}/policies/${policy.id}`, await signIn(node, browser, token));
  await page.getByRole("button", { name: "Bind", exact: true }).click();
  const bind = dialog(page).getByRole("button", { name: "Bind" });
  await dialog(page).getByLabel("Bind to").fill(key.id.slice(0, -1));
  await dialog(page).getByText("Must be an id that begins with key_ or ns_.").waitFor();
  expect(await bind.isDisabled()).toBe(true);
  await dialog(page).getByLabel("Bind to").fill(key.id);
  await bind.click();
  await dialog(page).waitFor({ state: "detached" });
  expect((await bindings()).bindings?.map(({ principalId }) => principalId)).toEqual([key.id]);

  await page.goto(`${node.consoleUrl}/policies/new`);
  await page.getByLabel("Name").first().fill("a budget");
  await page.getByLabel("Limit in USD").fill("5");
  await page.getByLabel("Bind to").fill("key_");
  await page.getByRole("button", { name: "Create the policy" }).click();
  await page.getByText("The policy has faults.").waitFor();
  await page.getByLabel("Bind to").fill(key.id);
  await page.getByRole("button", { name: "Create the policy" }).click();
  await page.getByRole("heading", { level: 1, name: "a budget" }).waitFor();
  expect(await page.getByRole("table", { name: "What it is bound to" }).innerText()).not.toContain("this namespace");
});

it("gives the focus back to the button that opened a dialog, when the dialog closes", async () => {
  const { page } = await open("/keys");
  const focused = () => page.evaluate<string>("document.activeElement.textContent");
  for (const [button, close] of [
    ["Preferences", () => page.keyboard.press("Escape")],
    ["Mint a key", () => dialog(page).getByRole("button", { name: "Cancel" }).click()],
  ] as const) {
    await page.getByRole("button", { name: button }).focus();
    await page.keyboard.press("Enter");
    await dialog(page).waitFor();
    await close();
    await dialog(page).waitFor({ state: "detached" });
    expect(await focused()).toBe(button);
  }
});

it.each([
  { what: "a key", path: () => `/keys/${newId("key")}`, notice: "The key cannot be read.", ask: undefined },
  {
    what: "the keys below one",
    path: () => `/keys/${data.hostile.id}`,
    notice: "The keys below it cannot be counted.",
    ask: "Revoke",
  },
])("asks once for more keys to find $what, and shows it if they cannot be read", async ({ path, notice, ask }) => {
  const { page, calls } = await browser.open(session);
  await page.route(/KeyService.ListKeys$/, async (route) => {
    const { pageToken } = fromBinary(ListKeysRequestSchema, route.request().postDataBuffer() ?? new Uint8Array());
    if (pageToken !== "") return route.fulfill({ status: 500, json: { code: "internal", message: "no more" } });
    const response = await route.fetch();
    const keys = fromBinary(ListKeysResponseSchema, await response.body());
    const body = Buffer.from(toBinary(ListKeysResponseSchema, { ...keys, nextPageToken: "more" }));
    await route.fulfill({ contentType: "application/proto", body });
  });
  await page.goto(node.consoleUrl + path());
  if (ask !== undefined) await page.getByRole("button", { name: ask }).click();
  await page.getByText(notice).waitFor();
  const reads = () => calls.filter((call) => call === "KeyService/ListKeys").length;
  const before = reads();
  await page.waitForResponse(`${node.consoleUrl}/session`);
  expect(reads()).toBe(before);
  const again = page.waitForRequest(/KeyService.ListKeys$/);
  await page.getByRole("button", { name: "Try again" }).last().click();
  await again;
});

it("says that a change may have been made, if its answer was lost", async () => {
  const { page } = await open(`/policies/${data.guardrailId}`);
  await page.route(/PolicyService.DisablePolicy$/, async (route) => {
    await route.fetch();
    await route.abort();
  });
  await page.getByRole("button", { name: "Disable" }).click();
  await dialog(page).getByRole("button", { name: "Disable" }).click();
  await dialog(page).getByText("It is not certain whether this was done").waitFor();
});
