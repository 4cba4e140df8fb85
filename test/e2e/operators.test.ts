import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { chatBody } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, cliOf, type List } from "./json-cli.ts";

/** Tests of operator credentials through the real command, from mint to revocation. */

interface Operator {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly scopes: readonly string[];
  readonly parent_id: string | null;
  readonly revoked_at: string | null;
}
interface Minted extends Operator {
  readonly token: string;
}

let node: TestNode;
let cli: Cli;
beforeAll(async () => {
  node = await startNode();
  cli = cliOf(node);
});
afterAll(() => node.remove());

const mint = (by: Cli, name: string, scope: string, ...more: string[]): Promise<Minted> =>
  by.json<Minted>("cloud", "operator", "mint", "--name", name, "--scope", scope, ...more);

async function invoke(token: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(chatBody("hello")),
  });
  return { status: response.status, body: await response.text() };
}

it("an operator credential is admitted by its scopes, and otherwise refused with the missing scope", async () => {
  const ci = await mint(cli, "ci", "namespaces:* keys:write");
  const asCi = cliAs(node, ci.token);
  await asCi.json("cloud", "namespace", "create", "by-ci");
  const root = ["--namespace", "by-ci", "--name", "root", "--scope", "inference:*"];
  const { token } = await asCi.json<{ token: string }>("cloud", "keys", "mint", ...root);
  expect((await invoke(token)).status).toBe(200);
  const refused = await asCi.error("cloud", "operator", "list");
  expect(refused).toMatchObject({
    exitCode: 4,
    reason: "SCOPE_MISSING",
    message: expect.stringContaining("operators:read"),
  });
  expect(await asCi.error("cloud", "audit", "list")).toMatchObject({ exitCode: 4, reason: "SCOPE_MISSING" });
  expect(await asCi.json("cloud", "whoami")).toMatchObject({
    account: null,
    namespace: null,
    key: null,
    operator: { id: ci.id, name: "ci", scopes: ["keys:write", "namespaces:*"], expires_at: null },
  });
});

it("no operator credential invokes inference, whatever its scopes", async () => {
  const all = await mint(cli, "all", "accounts:* audit:* keys:* namespaces:* operators:* usage:*");
  for (const token of [all.token, await node.operatorKey()]) {
    expect(await invoke(token)).toMatchObject({ status: 403, body: expect.stringContaining("inference:invoke") });
  }
});

it("a revocation cascades to the operator credentials below at every service, and the audit log names who did what", async () => {
  const parent = await mint(cli, "parent", "operators:* namespaces:read audit:read");
  const child = await mint(cliAs(node, parent.token), "child", "operators:write namespaces:read");
  const asChild = cliAs(node, child.token);
  expect(await asChild.error("cloud", "operator", "revoke", parent.id)).toMatchObject({
    exitCode: 4,
    reason: "OPERATOR_OUT_OF_LINEAGE",
  });
  expect(await asChild.error("cloud", "operator", "revoke", child.id)).toMatchObject({
    exitCode: 1,
    reason: "STATE_CONFLICT",
  });
  const more = ["cloud", "operator", "mint", "--name", "more", "--scope", "audit:read"];
  expect(await asChild.error(...more)).toMatchObject({
    exitCode: 4,
    reason: "SCOPE_EXCEEDS_PARENT",
    message: expect.stringContaining("audit:read"),
  });
  // The gateway has cached them.
  for (const { token } of [parent, child]) expect((await invoke(token)).status).toBe(403);
  const revoked = await cli.json<Operator>("cloud", "operator", "revoke", parent.id, "--reason", "left");
  expect(revoked).toMatchObject({ id: parent.id, revoked_reason: "left" });
  expect(await cli.json("cloud", "operator", "revoke", parent.id)).toEqual(revoked);
  for (const { token } of [parent, child]) {
    await eventually(async () => (await invoke(token)).status === 401, 6_000);
    expect(await cliAs(node, token).error("cloud", "whoami")).toMatchObject({ reason: "CREDENTIAL_REVOKED" });
  }
  expect(await cli.error("cloud", "operator", "rotate", child.id)).toMatchObject({
    exitCode: 1,
    reason: "STATE_CONFLICT",
  });

  const asOperator = cliAs(node, await node.operatorKey());
  const { data } = await asOperator.json<List<{ action: string; actor_id: string }>>(
    "cloud",
    "audit",
    "list",
    "--target",
    child.id,
  );
  expect(data.map(({ action, actor_id }) => [action, actor_id])).toEqual([["operator.create", parent.id]]);
});

it("a rotation keeps the credential, and a list shows all credentials and no token", async () => {
  const minted = await mint(cli, "rotated", "operators:read");
  const rotated = await cli.json<Minted>("cloud", "operator", "rotate", minted.id, "--grace", "0s");
  expect(rotated).toMatchObject({ id: minted.id, name: "rotated", scopes: ["operators:read"] });
  expect(rotated.token.startsWith(rotated.prefix)).toBe(true);
  expect(await cliAs(node, minted.token).error("cloud", "whoami")).toMatchObject({ exitCode: 4 });
  const { data } = await cliAs(node, rotated.token).json<List<Operator>>("cloud", "operator", "list");
  expect(data[0]).toMatchObject({ name: "bootstrap", parent_id: null });
  expect(data.map(({ id }) => id)).toContain(minted.id);
  const { stdout } = await cli("cloud", "operator", "list");
  for (const { token } of [minted, rotated]) expect(stdout).not.toContain(token);
  expect(await cli.json("cloud", "operator", "get", minted.id)).toMatchObject({ prefix: rotated.prefix });
});
