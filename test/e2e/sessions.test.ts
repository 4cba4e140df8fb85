import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { routeTable } from "../../services/gateway/test/route-table.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of session credentials on a node: what they can do through a gateway, and which caller the audit logs of the services name. */

let node: TestNode;
beforeAll(async () => {
  node = await startNode();
}, 120_000);
afterAll(() => node?.remove());

async function call(method: string, token: string, request: object = {}) {
  const response = await fetch(`${node.url}/routeplane.${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  return { status: response.status, answer: await response.json() };
}
const open = async (token: string, request: object = {}) => {
  const { status, answer } = await call("auth.v1.SessionService/CreateSession", token, request);
  expect(status).toBe(200);
  return answer as { readonly token: string; readonly session: { readonly id: string; readonly keyId: string } };
};
const json = async (...argv: readonly string[]) => {
  const { exitCode, stdout, stderr } = await node.cli([...argv, "--json"]);
  expect([exitCode, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as { readonly data: readonly Readonly<Record<string, string>>[] };
};

it("refuses a session on every route where keys call models, and says what to use", async () => {
  const routes = (await routeTable()).filter(({ reaches, path }) => reaches !== "service" && path !== "/healthz");
  expect(routes.length).toBeGreaterThan(6);
  const { token } = await open(await node.apiKey());
  const operator = await open(await node.operatorKey());
  const inNamespace = await open(await node.operatorKey(), { namespace: "default" });
  for (const { method, path } of routes) {
    for (const session of [token, operator.token, inNamespace.token]) {
      const response = await fetch(node.url + path.replace("*", "echo"), {
        method,
        headers: { authorization: `Bearer ${session}`, "content-type": "application/json" },
        ...(method === "POST" && {
          body: JSON.stringify({
            model: "echo",
            max_tokens: 5,
            input: "hello",
            messages: [{ role: "user", content: "hello" }],
          }),
        }),
      });
      const body = await response.text();
      expect([path, response.status]).toEqual([path, 403]);
      expect(body).toContain("a session credential (rpw_…) cannot call models: use an API key (rp_…)");
    }
  }
});

it("acts as its key in every service until it is revoked, and the audit log names it", async () => {
  const { token, session } = await open(await node.apiKey());
  const spec = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "5000000" } };
  const { status } = await call("policy.v1.PolicyService/CreatePolicy", token, { name: "by-session", spec });
  expect(status).toBe(200);
  expect(await call("auth.v1.KeyService/MintKey", token, { name: "by-session", scopes: ["usage:read"] })).toMatchObject(
    {
      status: 200,
      answer: { key: { parentId: session.keyId } },
    },
  );
  const range = { from: "2026-01-01T00:00:00Z", to: "2027-01-01T00:00:00Z" };
  expect(await call("usage.v1.UsageService/GetUsage", token, range)).toMatchObject({ status: 200 });

  const named = await json("cloud", "audit", "list", "--actor", session.id);
  expect(new Set(named.data.map(({ action }) => action))).toEqual(new Set(["key.create", "policy.create"]));
  for (const entry of named.data) {
    expect(entry).toMatchObject({ actor_type: "session", actor_id: session.id, actor_name: "console of root" });
  }
  const listed = await json("cloud", "sessions", "list");
  expect(listed.data.map(({ id }) => id)).toContain(session.id);

  await json("cloud", "sessions", "revoke", session.id, "--yes");
  for (const method of [
    "auth.v1.KeyService/ListKeys",
    "policy.v1.PolicyService/ListPolicies",
    "usage.v1.UsageService/GetUsage",
  ]) {
    const answer = await eventually(async () => {
      const refused = await call(method, token, method.startsWith("usage") ? range : {});
      return refused.status === 401 && refused.answer;
    });
    expect(JSON.stringify(answer)).toContain("CREDENTIAL_REVOKED");
  }
});

it("mints limits with a key in the name of the session", async () => {
  const { token, session } = await open(await node.apiKey());
  const limits = { rateLimit: { windowSecs: 60, maxRequests: "5" } };
  const minted = await call("auth.v1.KeyService/MintKey", token, { name: "limited", scopes: ["usage:read"], limits });
  expect(minted.status).toBe(200);
  const { data } = await json("cloud", "audit", "list", "--actor", session.id);
  expect(new Set(data.map(({ action }) => action))).toEqual(new Set(["binding.create", "key.create", "policy.create"]));
});
