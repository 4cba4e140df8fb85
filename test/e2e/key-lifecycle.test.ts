import { eventually } from "@routeplane/testing";
import { AuthenticationError } from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { chatBody, openAiClient, refusalOf, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { cliAs, cliOf } from "./json-cli.ts";

/** Tests of a key after its mint, through the gateway. */

let node: TestNode;
let root: string;
beforeAll(async () => {
  node = await startNode();
  root = await node.apiKey();
});
afterAll(() => node.remove());

interface Answer {
  readonly key: { readonly id: string };
  readonly token: string;
  readonly graceEndsAt: string;
}

async function keys(method: string, token: string, request: object): Promise<Answer> {
  const response = await fetch(`${node.url}/routeplane.auth.v1.KeyService/${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  if (!response.ok) throw new Error(`${method}: ${response.status} ${await response.text()}`);
  return response.json() as Promise<Answer>;
}

const mint = (name: string) => keys("MintKey", root, { name, scopes: ["inference:invoke", "keys:write"] });
const call = (token: string) => openAiClient(node, token).chat.completions.create(chatBody("hello")).withResponse();

async function keyInLog({ response }: Awaited<ReturnType<typeof call>>): Promise<string> {
  return (await settledRow(node, response.headers.get("x-request-id"))).key_id;
}

it("a rotated key is served under both tokens until the end of the grace, then under the new one, and stays one key", async () => {
  const { key, token: old } = await mint("rotated");
  await call(old);
  const { token, graceEndsAt } = await keys("RotateKey", old, { id: key.id, grace: "6s" });
  for (const answer of [await call(old), await call(token)]) expect(await keyInLog(answer)).toBe(key.id);

  // Listing models verifies the key without a row in the request log.
  const models = () => openAiClient(node, old).models.list();
  const refused = await eventually(
    () =>
      models().then(
        () => undefined,
        (error: unknown) => error,
      ),
    12_000,
  );
  expect(refused).toBeInstanceOf(AuthenticationError);
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(graceEndsAt));
  expect(await keyInLog(await call(token))).toBe(key.id);
});

it("a replaced token that every service has cached invokes and reads, and changes nothing in any service", async () => {
  const scopes = ["inference:invoke", "keys:*", "policy:*", "usage:read"];
  const { key, token: old } = await keys("MintKey", root, { name: "replaced", scopes });
  const rpc = async (method: string, request: object) => {
    const response = await fetch(`${node.url}/routeplane.${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${old}`, "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    return { status: response.status, text: await response.text() };
  };
  const createPolicy = () =>
    rpc("policy.v1.PolicyService/CreatePolicy", {
      name: `cap-${crypto.randomUUID()}`,
      spec: { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "5" } },
    });
  await call(old);
  expect(await createPolicy()).toMatchObject({ status: 200 });
  await keys("RotateKey", old, { id: key.id });
  const refused = await eventually(async () => {
    const answer = await createPolicy();
    return answer.status === 403 ? answer : undefined;
  });
  expect(refused?.text).toMatch(/replaced by a rotation.*CREDENTIAL_REPLACED/);
  for (const [method, request] of [
    ["auth.v1.KeyService/MintKey", { name: "x", scopes: ["keys:read"] }],
    ["auth.v1.KeyService/RotateKey", { id: key.id, grace: "0s" }],
    ["auth.v1.KeyService/RevokeKey", { id: key.id }],
  ] as const) {
    expect(await rpc(method, request)).toMatchObject({
      status: 403,
      text: expect.stringContaining("CREDENTIAL_REPLACED"),
    });
  }
  for (const method of ["policy.v1.PolicyService/ListPolicies", "usage.v1.UsageService/GetUsage"]) {
    expect(await rpc(method, {})).toMatchObject({ status: 200 });
  }
  await call(old);
});

it("a rotation without grace invalidates the old token at once", async () => {
  const { key, token: old } = await mint("leaked");
  await call(old);
  const { token } = await keys("RotateKey", root, { id: key.id, grace: "0s" });
  expect(await refusalOf(() => call(old))).toMatchObject({ status: 401 });
  await call(token);
});

it.each([
  "soon",
  "1h",
  "",
  "-1s",
  "-0.5s",
  "1.5s",
  "0.000000001s",
  "604801s",
  "1e3s",
  "99999999999999s",
  3600,
  {},
  true,
])("a rotation with a grace of %j is refused, and makes no token", async (grace) => {
  const { key, token } = await mint("kept");
  await expect(keys("RotateKey", token, { id: key.id, grace })).rejects.toThrow(/^RotateKey: 400 /);
  expect(await keys("GetKey", root, { id: key.id })).toMatchObject({ key });
  await openAiClient(node, token).models.list();
});

it("a key that loses a scope is refused at once, and so are the keys below it", async () => {
  const { key, token } = await mint("narrowed");
  const below = await keys("MintKey", token, { name: "below", scopes: ["inference:invoke"] });
  await call(below.token);
  await keys("UpdateKey", root, { id: key.id, scopes: ["keys:write"] });
  for (const key of [token, below.token]) {
    const failure = await refusalOf(() => call(key));
    expect(failure).toMatchObject({ status: 403, message: expect.stringContaining("inference:invoke") });
  }
});

it("the command line updates, rotates and revokes, and shows the tree; a sub-key reaches nothing above itself", async () => {
  const cli = cliOf(node);
  interface Shown {
    readonly id: string;
    readonly token: string;
    readonly prefix: string;
  }
  const argv = ["cloud", "keys", "mint", "--name", "parent", "--scope", "inference:invoke keys:*"];
  const parent = await cli.json<Shown>(...argv);
  const child = await cliAs(node, parent.token).json<Shown>(...argv.with(4, "child"));

  const asChild = cliAs(node, child.token);
  const denied = { exitCode: 4, reason: "KEY_OUT_OF_LINEAGE" };
  expect(await asChild.error("cloud", "keys", "update", parent.id, "--scope", "keys:read")).toMatchObject(denied);
  expect(await asChild.error("cloud", "keys", "rotate", parent.id)).toMatchObject(denied);
  expect(await asChild.error("cloud", "keys", "revoke", parent.id)).toMatchObject(denied);

  const narrowed = await cli.json("cloud", "keys", "update", child.id, "--name", "narrow", "--scope", "keys:*");
  expect(narrowed).toMatchObject({ id: child.id, name: "narrow", scopes: ["keys:*"] });
  const widened = await cli.error("cloud", "keys", "update", child.id, "--scope", "keys:* inference:invoke");
  expect(widened).toMatchObject({ exitCode: 4, reason: "KEY_WIDENED", message: expect.stringContaining("inference") });

  const rotated = await cli.json<Shown>("cloud", "keys", "rotate", child.id, "--grace", "0s");
  expect(rotated).toMatchObject({ id: child.id, name: "narrow" });
  expect(rotated.token.startsWith(rotated.prefix)).toBe(true);
  expect(await asChild.error("cloud", "whoami")).toMatchObject({ exitCode: 4, reason: "CREDENTIAL_EXPIRED" });
  expect(await cliAs(node, rotated.token).json("cloud", "whoami")).toMatchObject({ key: { id: child.id } });

  const revoked = await cli.json("cloud", "keys", "revoke", parent.id, "--reason", "no longer used");
  expect(revoked).toMatchObject({ id: parent.id, revoked_reason: "no longer used" });
  expect(await cli.json("cloud", "keys", "revoke", parent.id, "--reason", "again")).toEqual(revoked);
  expect(await cli.error("cloud", "keys", "rotate", child.id)).toMatchObject({ exitCode: 1, reason: "STATE_CONFLICT" });

  const { stdout } = await cli("cloud", "keys", "list", "--tree");
  expect(stdout).toMatch(new RegExp(`^[│ ]   └── narrow +${child.id} .*revoked above`, "m"));
  for (const { token } of [parent, child, rotated]) expect(stdout).not.toContain(token);
});
