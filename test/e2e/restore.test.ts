import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { takeBaseBackup } from "../harness/base-backup.ts";
import { queryAsSuperuser } from "../harness/database.ts";
import { chatStatus } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { newNamespace } from "../harness/policies.ts";

/** The drill of `packages/postgres/README.md`: back up a running node, go on, lose the data, restore, reconcile. */
let node: TestNode;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-backup-"));
  node = await startNode();
});
afterAll(async () => {
  await node.remove();
  await rm(folder, { recursive: true, force: true });
});

/** Request of 2 input and 2 output tokens of echo: 6 micro-USD. */
const COST = 6;

const statusOf = (token: string): Promise<number> => chatStatus(node, token, "two words");
const query = (statement: string): Promise<readonly object[]> => queryAsSuperuser(node.home, statement);

it("comes back at the moment of the backup, whole and consistent", { timeout: 180_000 }, async () => {
  const drill = await newNamespace(node, "drill");
  const { root } = drill;
  const spend = async () => (await drill.cli<{ spend_micro_usd: number }>(root.token, "usage")).spend_micro_usd;
  const cap = ["--name", "cap", "--window", "day", "--limit-micro-usd", `${10 * COST}`];
  const { id } = await drill.cli<{ id: string }>(root.token, "budget", "create", ...cap);
  await drill.cli(root.token, "policy", "bind", id, "--principal-type", "api_key", "--principal-id", root.id);
  const leaked = await drill.mint(root.token, "leaked");
  for (let request = 0; request < 3; request += 1) expect(await statusOf(leaked.token)).toBe(200);
  await eventually(async () => (await spend()) === 3 * COST);
  await settled();

  const restore = await takeBaseBackup(node.home, folder);

  for (let request = 0; request < 4; request += 1) expect(await statusOf(leaked.token)).toBe(200);
  await drill.cli(root.token, "keys", "revoke", leaked.id, "--yes");
  const late = await drill.mint(root.token, "late");
  expect(await statusOf(late.token)).toBe(200);
  await eventually(async () => (await spend()) === 8 * COST);
  await settled();

  await node.stop();
  await restore();
  node = await startNode({ home: node.home, port: node.port });

  // All three records have lost what was recorded after the backup.
  expect(await spend()).toBe(3 * COST);
  expect((await node.cli(["admin", "reconcile"])).exitCode).toBe(0);
  // A key that was minted since is unknown; one that was revoked since is active again, and is to be revoked again.
  expect(await statusOf(late.token)).toBe(401);
  expect(await statusOf(leaked.token)).toBe(200);
  await drill.cli(root.token, "keys", "revoke", leaked.id, "--yes");
  // Gateways may admit requests of the key until they have heard of the revocation, and those spend too.
  let admitted = 1;
  await eventually(async () => {
    const status = await statusOf(leaked.token);
    if (status === 200) admitted += 1;
    return status === 401;
  });
  // Five requests were forgotten, so the budget of ten admits seven more after the three, not two.
  for (; admitted < 7; admitted += 1) expect(await statusOf(root.token)).toBe(200);
  expect(await statusOf(root.token)).toBe(402);
  await eventually(async () => (await spend()) === 10 * COST);
  await settled();
  expect((await node.cli(["admin", "reconcile"])).exitCode).toBe(0);
});

/** Resolves once no request runs, and gateways have returned unused slices. */
async function settled(): Promise<void> {
  const reserved = `select from policy.holds where state = 'open'
    union all select from policy.slices where granted > returned + used`;
  await eventually(async () => (await query(reserved)).length === 0);
}
