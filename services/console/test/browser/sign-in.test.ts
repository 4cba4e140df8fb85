import { eventually } from "@routeplane/testing";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { queryAsSuperuser } from "../../../../test/harness/database.ts";
import type { TestBrowser, TestPage } from "./browser.ts";
import type { ConsoleNode } from "./console-node.ts";
import { connectSharedConsole } from "./shared-console.ts";

let node: ConsoleNode;
let browser: TestBrowser;
/** Token of the root key of the namespace `default`. */
let rootKey: string;

beforeAll(async () => {
  ({ node, browser } = await connectSharedConsole());
  rootKey = await node.apiKey();
});
afterEach(() => browser.closePages());
afterAll(() => browser.close());

const title = (page: Page, name: string) => page.getByRole("heading", { level: 1, name });
const signInForm = (page: Page) => title(page, "Sign in to Routeplane");

/** Statement that expires the sign-in codes of the namespace `default`; other files use codes of other namespaces. */
const EXPIRE_CODES = `update auth.sign_in_codes set expires_at = expires_at - interval '2 minutes'
  where namespace_id = (select id from auth.namespaces where name = 'default')`;

/** Opens the console with a sign-in URL, and waits for a page. */
async function signedIn(token: string, options: { readonly path?: string; readonly title?: string } = {}) {
  const opened = await browser.open();
  await opened.page.goto(await node.signInUrl(token, options.path));
  await title(opened.page, options.title ?? "Overview").waitFor();
  return opened;
}

/** Resolves once a page has noticed the switch of its session to a namespace and reloaded itself, which would undo a navigation. */
async function reloaded(page: Page, namespace: string): Promise<void> {
  await page.getByRole("banner").getByText(namespace, { exact: true }).waitFor();
}

/** Presses Tab until the focus is on the selected element, as a person without a pointer does. */
async function tabTo(page: Page, selector: string): Promise<void> {
  for (let presses = 0; presses < 40; presses++) {
    await page.keyboard.press("Tab");
    if (await page.locator(`${selector}:focus`).count()) return;
  }
  throw new Error(`the Tab key does not reach ${selector}`);
}

async function mintKey(parent: string, scopes: readonly string[]): Promise<{ token: string; id: string }> {
  const request = { name: "of a browser test", scopes };
  const { key, token } = await node.rpc<{ key: { id: string }; token: string }>(
    "auth.v1.KeyService/MintKey",
    parent,
    request,
  );
  return { id: key.id, token };
}

describe("a sign-in", () => {
  it("needs only a sign-in URL, whose code is removed from the address", async () => {
    const { page, faults } = await signedIn(rootKey);
    expect(page.url()).toBe(`${node.consoleUrl}/`);
    await page.goBack();
    expect(page.url()).not.toContain("code");
    expect(faults).toEqual([]);
  });

  it("needs a confirmation in a browser that has a session, which stays until then", async () => {
    const { page, context, faults } = await signedIn(rootKey);
    const { token } = await node.createNamespace("another");
    const before = await context.cookies();
    await page.goto(await node.signInUrl(token, "/keys"));
    await title(page, "You are signed in").waitFor();
    expect(page.url()).toBe(`${node.consoleUrl}/keys`);
    expect(await context.cookies()).toEqual(before);
    await page.getByRole("button", { name: "Keep the session" }).click();
    await title(page, "Keys").waitFor();
    expect(await context.cookies()).toEqual(before);
    await page.goto(await node.signInUrl(token, "/keys"));
    await page.getByRole("button", { name: "Sign in again" }).click();
    await page.getByText("Signed in by root of another").waitFor();
    await title(page, "Keys").waitFor();
    expect(faults).toEqual([]);
  });

  it("accepts the address that the command line prints", async () => {
    const { stdout } = await node.cli(["console", "--print"]);
    const { page } = await browser.open();
    await page.goto(stdout.trim());
    await page.getByRole("navigation", { name: "Pages" }).waitFor();
  });

  it("by a pasted key needs no pointer, and neither does going from page to page", async () => {
    const { page, faults } = await browser.open();
    await page.goto(node.consoleUrl);
    await signInForm(page).waitFor();
    await tabTo(page, "input");
    await page.keyboard.insertText(rootKey);
    await page.keyboard.press("Enter");
    await title(page, "Overview").waitFor();
    await tabTo(page, "nav a[href='/keys']");
    await page.keyboard.press("Enter");
    await title(page, "Keys").waitFor();
    expect(faults).toEqual([]);
  });

  it("by a pasted operator token shows namespaces, and enters one", async () => {
    const { page, faults } = await browser.open();
    await page.goto(node.consoleUrl);
    await page.getByLabel("API key or operator token").fill(await node.operatorKey());
    await page.getByRole("button", { name: "Sign in" }).click();
    await title(page, "Namespaces").waitFor();
    await page
      .getByRole("link", { name: "default" })
      .or(page.getByRole("button", { name: /default/ }))
      .first()
      .click();
    await title(page, "Overview").waitFor();
    expect(faults).toEqual([]);
  });

  it("leaves no token and no code in the page, its storage, its cookies or the browser's console", async () => {
    const { page, context, consoleTexts } = await browser.open();
    const url = await node.signInUrl(rootKey);
    await page.goto(url);
    await title(page, "Overview").waitFor();
    const [, code = ""] = url.split("#code=");
    const held = [
      await page.content(),
      page.url(),
      ...consoleTexts,
      await page.evaluate<string>(
        "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state, document.cookie])",
      ),
      JSON.stringify(await context.cookies()),
    ].join("\n");
    expect(code.length).toBeGreaterThan(20);
    expect(held).not.toContain(code);
    expect(held).not.toMatch(/rp[ow]?_(live|test)_/);
  });

  it("is refused with a code that is used, expired or unknown, with the same message", async () => {
    const used = await node.signInUrl(rootKey);
    const opened = await browser.open();
    await opened.page.goto(used);
    await title(opened.page, "Overview").waitFor();
    const expired = await node.signInUrl(rootKey);
    await queryAsSuperuser(node.home, EXPIRE_CODES);
    const foreign = `${node.consoleUrl}/sign-in#code=${"A".repeat(43)}`;
    const answers = [];
    for (const url of [used, expired, foreign]) {
      const { page, context } = await browser.open();
      await page.goto(url);
      answers.push(await page.getByRole("alert").innerText());
      expect(await context.cookies()).toEqual([]);
      await signInForm(page).waitFor();
    }
    expect(new Set(answers)).toHaveLength(1);
    expect(answers[0]).toMatch(/code|address|URL/);
  });
});

describe("a session", () => {
  it("ends in the page within 5 s of its revocation, and leaves no data on the page", async () => {
    const { token, id } = await mintKey(rootKey, ["keys:read", "usage:read"]);
    const { page, context } = await signedIn(token, { path: "/keys", title: "Keys" });
    await page.getByText("of a browser test").first().waitFor();
    const revokedAt = performance.now();
    await node.rpc("auth.v1.KeyService/RevokeKey", rootKey, { id });
    await signInForm(page).waitFor();
    expect(performance.now() - revokedAt).toBeLessThan(5_000);
    expect(await page.content()).not.toContain("of a browser test");
    expect(await context.cookies()).toEqual([]);
  });

  it("is in the list of sessions, and can be revoked by the command line", async () => {
    const { page } = await signedIn(rootKey);
    const { data } = JSON.parse((await node.cli(["cloud", "sessions", "list", "--json"])).stdout) as {
      data: readonly { id: string; revoked_at: string | null; created_at: string }[];
    };
    const newest = data.findLast(({ revoked_at }) => revoked_at === null);
    expect((await node.cli(["cloud", "sessions", "revoke", newest!.id, "--yes"])).exitCode).toBe(0);
    await signInForm(page).waitFor();
  });

  it("ends when its namespace is deleted while a page is open", async () => {
    const { token } = await node.createNamespace("short-lived");
    const { page } = await signedIn(token);
    const { exitCode, stderr } = await node.cli(["cloud", "namespace", "delete", "short-lived", "--yes"]);
    expect(exitCode, stderr).toBe(0);
    await signInForm(page).waitFor();
    expect(await page.content()).not.toContain("short-lived");
  });

  it("of an operator leaves a namespace that was suspended or deleted, without a new sign-in", async () => {
    await node.createNamespace("closed-for-now");
    const operator = await node.operatorKey();
    const { page } = await signedIn(operator, { path: "/namespaces", title: "Namespaces" });
    const outside = (state: string) => title(page, `The namespace closed-for-now is ${state}`);
    const change = (verb: string) =>
      node.rpc(`auth.v1.NamespaceService/${verb}Namespace`, operator, { namespace: "closed-for-now" });
    await page.evaluate(
      `fetch("/session/namespace", { method: "POST", body: '{"namespace":"closed-for-now"}',
        headers: { "x-routeplane-console": "1", "content-type": "application/json" } })`,
    );
    await reloaded(page, "closed-for-now");
    await page.goto(`${node.consoleUrl}/keys`);
    await title(page, "Keys").waitFor();
    await change("Suspend");
    await outside("suspended").waitFor();
    expect(await page.getByRole("navigation").count()).toBe(0);
    await change("Resume");
    await title(page, "Keys").waitFor();
    await change("Delete");
    await outside("deleted").waitFor();
    await page.getByRole("button", { name: "All namespaces" }).click();
    await title(page, "Namespaces").waitFor();
  });

  it("ends on the node at the sign-out, so that its cookie is refused", async () => {
    const { page, context } = await signedIn(rootKey);
    const [cookie] = await context.cookies();
    await page.getByRole("button", { name: "Sign out" }).click();
    await signInForm(page).waitFor();
    const headers = { cookie: `${cookie!.name}=${cookie!.value}` };
    expect((await fetch(`${node.consoleUrl}/session`, { headers })).status).toBe(401);
  });

  it("is read by one call at a time, however slow the console is", async () => {
    const { page } = await browser.open();
    await page.clock.install();
    await page.goto(await node.signInUrl(rootKey));
    await title(page, "Overview").waitFor();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let running = 0;
    await page.route(`${node.consoleUrl}/session`, async (route) => {
      running += 1;
      await released;
      await route.continue();
    });
    await page.clock.runFor(12_000);
    await expect.poll(() => running).toBeGreaterThan(0);
    expect(running).toBe(1);
    release();
  });

  it("offers only what its key may do, also after scopes were removed from the key", async () => {
    const { token, id } = await mintKey(rootKey, ["keys:read", "keys:write"]);
    const { page } = await signedIn(token, { path: "/keys", title: "Keys" });
    const mint = page.getByRole("button", { name: "Mint a key" });
    await mint.waitFor();
    await node.rpc("auth.v1.KeyService/UpdateKey", rootKey, { id, scopes: ["keys:read"] });
    await mint.waitFor({ state: "detached" });
    await page.getByText("of a browser test").first().waitFor();
  });

  it("goes on after a sign-out that did not reach the console, and says so", async () => {
    const { page } = await signedIn(rootKey);
    await page.route(`${node.consoleUrl}/session`, (route) =>
      route.request().method() === "DELETE" ? route.abort() : route.continue(),
    );
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("alert").getByText("You are still signed in.").waitFor();
    await page.unroute(`${node.consoleUrl}/session`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await signInForm(page).waitFor();
  });

  it("names the scope that a page needs and its key does not hold", async () => {
    const { token } = await mintKey(rootKey, ["inference:invoke"]);
    const opened = await signedIn(token);
    const { page } = opened;
    const scopes = [
      ["Overview", "usage:read"],
      ["Requests", "usage:read"],
      ["Keys", "keys:read"],
      ["Policies", "policy:read"],
      ["Audit", "audit:read"],
    ] as const;
    for (const [name, scope] of scopes) {
      await page.getByRole("link", { name, exact: true }).click();
      await title(page, name).waitFor();
      await page.getByRole("main").getByText(scope).first().waitFor();
    }
    expect(opened.faults).toEqual([]);
  });

  it("is in one namespace in all tabs: after a switch in one tab, no tab shows data of the former namespace", async () => {
    await node.createNamespace("other-tab");
    const operator = await node.operatorKey();
    const enter = async (page: Page, namespace: string): Promise<void> => {
      const answer = await page.evaluate<number>(
        `fetch("/session/namespace", { method: "POST", body: '{"namespace":"${namespace}"}',
          headers: { "x-routeplane-console": "1", "content-type": "application/json" } }).then(({ status }) => status)`,
      );
      expect(answer).toBe(200);
      await reloaded(page, namespace);
      await page.goto(`${node.consoleUrl}/keys`);
      await title(page, "Keys").waitFor();
    };
    const { page: first, context } = await signedIn(operator, { title: "Namespaces" });
    await enter(first, "default");
    const shown = first.getByRole("main").getByText("root", { exact: true });
    await shown.first().waitFor();
    const second = await context.newPage();
    await second.goto(node.consoleUrl);
    await title(second, "Overview").waitFor();
    await enter(second, "other-tab");
    await second.getByText("root of other-tab").first().waitFor();
    await first.getByText("other-tab").first().waitFor();
    await eventually(async () => (await shown.count()) === 0);
  });
});

describe("a request that another site makes the browser send", () => {
  /** Opens a page of another site in the browser of a signed-in person. */
  async function evilPage({ context }: TestPage, html: string): Promise<Page> {
    const page = await context.newPage();
    await page.route("http://evil.example/**", (route) => route.fulfill({ contentType: "text/html", body: html }));
    await page.goto("http://evil.example/");
    return page;
  }

  it("by a form is refused, and changes nothing", async () => {
    const opened = await signedIn(rootKey);
    const action = `${node.consoleUrl}/api/routeplane.auth.v1.KeyService/MintKey`;
    const field = `{"name":"forged","scopes":["keys:read"],"x":"`;
    const page = await evilPage(
      opened,
      `<form method="post" enctype="text/plain" action="${action}"><input name='${field}' value='"}'><button>go</button></form>`,
    );
    const answer = page.waitForResponse(action);
    await page.getByRole("button").click();
    expect((await answer).status()).toBe(403);
    const { keys } = await node.rpc<{ keys: readonly { name: string }[] }>("auth.v1.KeyService/ListKeys", rootKey, {});
    expect(keys.map(({ name }) => name)).not.toContain("forged");
  });

  it("is refused without the console's header even from its own page", async () => {
    const { page } = await signedIn(rootKey);
    const send = (headers: object): Promise<number> =>
      page.evaluate<number>(
        `fetch("/api/routeplane.auth.v1.KeyService/ListKeys", { method: "POST", body: "{}",
          headers: ${JSON.stringify({ "content-type": "application/json", ...headers })} }).then(({ status }) => status)`,
      );
    expect(await send({})).toBe(403);
    expect(await send({ "x-routeplane-console": "1" })).toBe(200);
  });

  it("cannot put the console into a frame", async () => {
    const opened = await signedIn(rootKey);
    const page = await evilPage(opened, `<iframe src="${node.consoleUrl}/" width="800" height="600"></iframe>`);
    await page.waitForLoadState("load");
    const [, frame] = page.frames();
    expect(frame?.url()).toBe("chrome-error://chromewebdata/");
  });
});
