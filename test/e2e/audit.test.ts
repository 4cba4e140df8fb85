import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "@routeplane/testing";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliOf, type List } from "./json-cli.ts";

interface Entry {
  readonly id: string;
  readonly action: string;
  readonly actor_id: string | null;
  readonly target_id: string;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly address: string | null;
  readonly request_id: string | null;
}

let node: TestNode;
let cli: Cli;
beforeAll(async () => {
  node = await startNode();
  cli = cliOf(node);
});
afterAll(() => node.remove());

const list = (...options: string[]) => cli.json<List<Entry>>("cloud", "audit", "list", ...options);

it("records every change by the command in the audit log of the service that made it, with caller and address", async () => {
  const { key } = await cli.json<{ key: { id: string } }>("cloud", "whoami");
  const minted = await cli.json<{ id: string; token: string }>(
    "cloud",
    "keys",
    "mint",
    "--name",
    "a",
    "--scope",
    "keys:read",
  );
  const budget = ["--name", "cap", "--window", "day", "--limit-micro-usd", "5"];
  const policy = await cli.json<{ id: string }>("cloud", "budget", "create", ...budget);
  const principal = ["--principal-type", "api_key", "--principal-id", minted.id];
  const binding = await cli.json<{ id: string }>("cloud", "policy", "bind", policy.id, ...principal);
  await cli.json("cloud", "keys", "revoke", minted.id);

  // The binding of the revoked key is removed a moment after the key.
  const data = await eventually(async () => {
    const { data: entries } = await list();
    return entries.some(({ action }) => action === "binding.delete") && entries;
  });
  const entriesOfKey = data.filter(({ actor_id }) => actor_id === key.id);
  expect(entriesOfKey.map(({ action, target_id }) => [action, target_id])).toEqual([
    ["binding.delete", binding.id],
    ["key.revoke", minted.id],
    ["binding.create", binding.id],
    ["policy.create", policy.id],
    ["key.create", minted.id],
  ]);
  expect(entriesOfKey.every(({ address, request_id }) => address === "127.0.0.1" && request_id !== null)).toBe(true);
  expect(entriesOfKey[3]?.after).toMatchObject({ name: "cap", kind: "budget" });
  expect(JSON.stringify(data)).not.toContain(minted.token.slice(8));
  await cli.json("cloud", "budget", "update", "cap", "--limit-micro-usd", "9");
  const { stdout } = await cli("cloud", "audit", "list", "--target", "cap", "-o", "table");
  expect(stdout).toMatch(/policy\.create +cap +pol_\w+ +(kind|name|spec)/);
  expect(stdout).toMatch(/policy\.update +cap +pol_\w+ +spec\.limit_micro_usd: 5 -> 9/);
  const [updated] = (await list("--target", "cap", "--action", "policy.update")).data;
  expect(updated).toMatchObject({
    target_name: "cap",
    actor_name: "root",
    changes: [{ field: "spec.limit_micro_usd", from: 5, to: 9 }],
  });
  expect(await cli.json("cloud", "audit", "get", updated?.id ?? "")).toEqual(updated);
  const exported = await cli("cloud", "audit", "export", "--format", "jsonl", "--actor", "root");
  const rows = exported.stdout.trim().split("\n");
  expect(rows.map((row) => JSON.parse(row) as unknown)).toEqual((await list("--actor", key.id)).data);
});

it("records the address of the connection and the gateway's request id, whatever a client's headers say", async () => {
  const headers = {
    authorization: `Bearer ${await node.apiKey()}`,
    "content-type": "application/json",
    "x-request-id": "forged",
    "x-routeplane-client-address": "192.0.2.7",
    "x-routeplane-relay": "rps_forged",
    "x-forwarded-for": "192.0.2.7",
  };
  const body = JSON.stringify({ name: "claims", scopes: ["keys:read"] });
  const path = "/routeplane.auth.v1.KeyService/MintKey";
  const response = await fetch(`${node.url}${path}`, { method: "POST", headers, body });
  expect(response.status).toBe(200);
  const { key } = (await response.json()) as { key: { id: string } };
  const requestId = response.headers.get("x-request-id");
  expect(requestId).toMatch(/^req_/);
  const { data } = await list("--target", key.id);
  expect(data).toMatchObject([{ action: "key.create", address: "127.0.0.1", request_id: requestId }]);
});

it("pages over the logs of both services without gaps or duplicates, and filters them", async () => {
  const whole = (await list("--limit", "1000")).data.map(({ id }) => id);
  expect(whole.length).toBeGreaterThanOrEqual(6);
  const paged: string[] = [];
  let token: string | null = "";
  while (token !== null) {
    const page: List<Entry> = await list("--limit", "2", ...(token === "" ? [] : ["--page-token", token]));
    paged.push(...page.data.map(({ id }) => id));
    token = page.next_page_token;
  }
  expect(paged).toEqual(whole);
  expect((await list("--action", "binding.create")).data).toHaveLength(1);
  expect((await list("--to", "2020-01-01T00:00:00Z")).data).toEqual([]);
});
