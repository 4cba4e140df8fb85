import { redactTokens } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ConsoleClient, consoleOf, type SignedIn, WITH_CONSOLE } from "../harness/console.ts";
import { startNode, type TestNode } from "../harness/index.ts";

let node: TestNode;
let console: ConsoleClient;
beforeAll(async () => {
  node = await startNode({ environment: WITH_CONSOLE });
  console = await consoleOf(node);
});
afterAll(() => node?.remove());

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { exitCode, stdout, stderr } = await node.cli([...args, "--json"]);
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

const signInWithKey = async (): Promise<SignedIn> => console.signIn({ token: await node.apiKey() });
const sessionOf = async (browser: SignedIn) =>
  (await (await browser.request("GET", "/session")).json()) as Record<string, unknown>;

/** Code in an address that signs in. */
function codeIn(text: string): string {
  const [, url, code] = /(http:\S+)\/sign-in\S*#code=(\S+)/.exec(text) ?? [];
  expect(url).toBe(console.url);
  return code ?? "";
}

describe("an address that signs in", () => {
  it("is printed by the start, works once, and can switch the namespace", async () => {
    const code = codeIn(node.stdout());
    const browser = await console.signIn({ code });
    expect([browser.status, (await console.signIn({ code })).status]).toEqual([200, 401]);
    expect(await sessionOf(browser)).toMatchObject({
      kind: "namespace",
      namespace_name: "default",
      can_switch: true,
      gateway_url: node.url,
    });
  });

  it("is printed by `console` if there is no browser, for the requested namespace", async () => {
    await node.cli(["cloud", "namespace", "create", "staging"]);
    const { exitCode, stdout } = await node.cli(["console", "--namespace", "staging"]);
    expect(exitCode).toBe(0);
    const browser = await console.signIn({ code: codeIn(stdout) });
    expect(await sessionOf(browser)).toMatchObject({ namespace_name: "staging", can_switch: true });
    const { url, expires_at: expiresAt } = await json("console");
    expect((await console.signIn({ code: codeIn(String(url)) })).status).toBe(200);
    expect(Date.parse(String(expiresAt)) - Date.now()).toBeLessThanOrEqual(60_000);
  });

  it("is for the key alone if ROUTEPLANE_API_KEY is set", async () => {
    const { token } = await json("cloud", "keys", "mint", "--name", "reader", "--scope", "usage:read keys:read");
    const environment = { ROUTEPLANE_API_KEY: String(token) };
    const { stdout } = await node.cli(["console", "--print"], { environment });
    const browser = await console.signIn({ code: codeIn(stdout) });
    expect(await sessionOf(browser)).toMatchObject({
      name: "reader",
      scopes: ["keys:read", "usage:read"],
      can_switch: false,
    });
    expect((await browser.call("policy.v1.PolicyService/ListPolicies")).status).toBe(403);
    expect((await browser.request("POST", "/session/namespace", { namespace: "staging" })).status).toBe(403);
    const denied = await node.cli(["console", "--namespace", "staging"], { environment });
    expect([denied.exitCode, denied.stderr]).toEqual([4, expect.stringContaining("ROUTEPLANE_API_KEY is set")]);
  });

  it("opens the page of a key or policy by its name", async () => {
    const { id } = await json(
      "cloud",
      "budget",
      "create",
      "--name",
      "daily-cap",
      "--window",
      "day",
      "--limit-usd",
      "1",
    );
    const { stdout } = await node.cli(["cloud", "open", "daily-cap", "--print"]);
    expect(stdout).toContain(`${console.url}/sign-in?next=%2Fpolicies%2F${String(id)}#code=`);
    expect((await node.cli(["cloud", "open", "key", "root"])).stdout).toMatch(/\?next=%2Fkeys%2Fkey_\w+#code=/);
    expect((await node.cli(["cloud", "open", "nothing"])).exitCode).toBe(1);
    expect((await node.cli(["cloud", "open", "svc_1"])).exitCode).toBe(2);
  });
});

describe("a session at the console", () => {
  it("reads what the command line reads, and changes what its key may change", async () => {
    const browser = await signInWithKey();
    const { keys } = (await (await browser.call("auth.v1.KeyService/ListKeys")).json()) as { keys: { id: string }[] };
    const { data } = (await json("cloud", "keys", "list")) as { data: { id: string }[] };
    expect(keys.map(({ id }) => id)).toEqual(data.map(({ id }) => id));
    const minted = await browser.call("auth.v1.KeyService/MintKey", { name: "of the page", scopes: ["usage:read"] });
    expect(minted.status).toBe(200);
    const { data: entries } = await json("cloud", "audit", "list");
    expect(entries).toContainEqual(
      expect.objectContaining({ action: "key.create", actor_type: "session", address: "127.0.0.1" }),
    );
  });

  it("gets the same bytes for foreign ids as for unknown ones", async () => {
    const operator = await node.operatorKey();
    const { token } = (await (
      await fetch(`${node.url}/routeplane.auth.v1.KeyService/MintRootKey`, {
        method: "POST",
        headers: { authorization: `Bearer ${operator}`, "content-type": "application/json" },
        body: JSON.stringify({ namespace: "staging", name: "foreign", scopes: ["keys:*"] }),
      })
    ).json()) as { token: string };
    const { key_id: foreign } = JSON.parse(
      (await node.cli(["cloud", "whoami", "--json"], { environment: { ROUTEPLANE_API_KEY: token } })).stdout,
    ) as { key_id: string };
    const browser = await signInWithKey();
    const answers = await Promise.all(
      [foreign, newId("key")].map(async (id) => {
        const response = await browser.call("auth.v1.KeyService/GetKey", { id });
        return [response.status, await response.text()];
      }),
    );
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]?.[0]).toBe(404);
  });

  it("is exchanged for one in another namespace, and the former one is refused everywhere", async () => {
    const { stdout } = await node.cli(["console", "--print"]);
    const browser = await console.signIn({ code: codeIn(stdout) });
    const former = browser.cookie();
    const switched = await browser.request("POST", "/session/namespace", { namespace: "staging" });
    expect([switched.status, await switched.json()]).toMatchObject([200, { namespace_name: "staging" }]);
    expect((await browser.call("usage.v1.UsageService/GetUsage")).status).toBe(200);
    for (const method of METHODS) {
      await eventually(async () => (await browser.call(method, {}, { cookie: former })).status === 401);
    }
    const operatorView = await browser.request("POST", "/session/namespace", {});
    expect(await operatorView.json()).toMatchObject({ kind: "operator", namespace_id: "" });
    expect((await browser.call("auth.v1.NamespaceService/ListNamespaces")).status).toBe(200);
    expect((await browser.call("usage.v1.UsageService/GetUsage")).status).toBe(403);
  });

  it("ends within a second once it is revoked: calls are refused, streams end, and the cookie is removed", async () => {
    const browser = await signInWithKey();
    for (const method of METHODS) expect((await browser.call(method)).status).toBe(200);
    const watch = await browser.request("POST", "/api/routeplane.usage.v1.UsageService/WatchRequests", undefined, {
      "content-type": "application/connect+json",
    });
    expect(watch.status).toBe(200);
    const { data } = (await json("cloud", "sessions", "list")) as { data: { id: string }[] };
    const revokedAt = performance.now();
    for (const { id } of data) await node.cli(["cloud", "sessions", "revoke", id, "--yes"]);
    for (const method of METHODS) await eventually(async () => (await browser.call(method)).status === 401, 1_000);
    expect(performance.now() - revokedAt).toBeLessThan(5_000);
    await watch.text().catch(() => "");
    expect([(await browser.request("GET", "/session")).status, browser.cookie()]).toEqual([401, ""]);
  });

  it("ends at the sign-out", async () => {
    const browser = await signInWithKey();
    const cookie = browser.cookie();
    expect((await browser.request("DELETE", "/session")).status).toBe(204);
    expect((await browser.request("GET", "/session", undefined, { cookie })).status).toBe(401);
  });

  it("keeps working with the other services while one does not answer", async () => {
    const browser = await signInWithKey();
    expect((await browser.call("usage.v1.UsageService/GetUsage")).status).toBe(200);
    await node.whileSuspended("usage", async () => {
      const usage = await browser.call("usage.v1.UsageService/GetUsage");
      expect([usage.status, await usage.json()]).toMatchObject([503, { code: "unavailable" }]);
      expect((await browser.call("auth.v1.KeyService/ListKeys")).status).toBe(200);
      expect((await browser.call("policy.v1.PolicyService/ListPolicies")).status).toBe(200);
    });
  });
});

/** A method of each service that reads. */
const METHODS = [
  "auth.v1.KeyService/ListKeys",
  "policy.v1.PolicyService/ListPolicies",
  "usage.v1.UsageService/GetUsage",
] as const;

describe("the process", () => {
  it("serves the built app", async () => {
    const page = await (await fetch(`${console.url}/requests`)).text();
    const [, script = ""] = /src="(\/assets\/[^"]+\.js)"/.exec(page) ?? [];
    expect((await fetch(console.url + script)).headers.get("cache-control")).toContain("immutable");
  });

  it("is started again after kill -9, and knows the earlier sessions", async () => {
    const browser = await signInWithKey();
    await node.kill("console");
    await eventually(async () => (await browser.request("GET", "/session")).status === 200, 30_000);
  });

  it("logs no secret", async () => {
    const log = await node.log("console");
    expect(redactTokens(log)).toBe(log);
    expect(log).not.toContain("#code=");
    expect(log).toContain('"path":"/session"');
  });
});
