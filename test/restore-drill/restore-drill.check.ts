import { execFile } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { AdmissionService } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { type DatabasePlan, databasePlan, provision } from "@routeplane/postgres";
import { CHECKOUT } from "@routeplane/standalone";
import { preparePostgres, supervise } from "@routeplane/standalone/servers";
import { connectGrpc, eventually } from "@routeplane/testing";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { addressesOf } from "../harness/addresses.ts";
import { queryAsSuperuser, superuserUrl } from "../harness/database.ts";
import { chatStatus } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { newNamespace } from "../harness/policies.ts";

/** The drill of `packages/postgres/README.md` with `deploy/backup.sh`: dump, go on, lose the database, restore, reconcile. */
let node: TestNode;
beforeAll(async () => {
  node = await startNode();
});
afterAll(async () => {
  await node.remove();
});

/** Request of 2 input and 2 output tokens of echo: 6 micro-USD. */
const COST = 6;
const BACKUP_PASSWORD = "of-the-backup";

const run = promisify(execFile);
const backup = (action: string, file: string, variables: Readonly<Record<string, string>>) =>
  run("sh", [join(CHECKOUT, "deploy/backup.sh"), action, file], { env: { ...process.env, ...variables } });

const send = (token: string): Promise<number> => chatStatus(node, token, "two words");
/** Sends a request with an idempotency key, which is admitted by the policy service and not on a slice. */
const sendOnce = (token: string, idempotencyKey: string): Promise<number> =>
  chatStatus(node, token, "two words", { "idempotency-key": idempotencyKey });
const query = (statement: string): Promise<readonly object[]> => queryAsSuperuser(node.home, statement);

const countOf = async (from: string): Promise<number> => (await query(`select from ${from}`)).length;

it(
  "restores a dump by the role for backups; every row of the table in the README is true",
  { timeout: 300_000 },
  async () => {
    const drill = await newNamespace(node, "drill");
    const { root } = drill;
    const spend = async () => (await drill.cli<{ spend_micro_usd: number }>(root.token, "usage")).spend_micro_usd;
    const reconciles = async () => (await node.cli(["admin", "reconcile"])).exitCode === 0;
    const { policyId } = await drill.bind(
      { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "1000000" } },
      root.id,
    );
    const leaked = await drill.mint(root.token, "leaked");
    const rotated = await drill.mint(root.token, "rotated");
    for (let request = 0; request < 3; request += 1) expect(await send(leaked.token)).toBe(200);
    await eventually(async () => (await spend()) === 3 * COST);
    await eventually(async () => (await countOf("policy.holds where state = 'open'")) === 0);
    // A request that is running.
    const secrets = JSON.parse(await readFile(join(node.home, "secrets.json"), "utf8"));
    const grpc = connectGrpc((await addressesOf(node)).grpc.policy);
    const running = { namespaceId: drill.namespaceId, keyId: root.id, requestId: newId("req") };
    await grpc.call(
      AdmissionService.method.admit,
      {
        ...running,
        lineage: [root.id],
        price: { inputPicoUsd: 1_000_000n, outputPicoUsd: 1_000_000n },
        inputTokensMax: 10n,
        outputTokensMax: 10n,
      },
      { token: secrets.serviceToken },
    );
    grpc.close();

    const plan = {
      ...databasePlan("routeplane", (role) => secrets.databasePasswords[role]),
      backupPassword: BACKUP_PASSWORD,
    };
    const adminUrl = await superuserUrl(node.home);
    await provision(adminUrl, plan);
    const file = join(node.home, "routeplane.dump");
    const backupUrl = new URL(adminUrl);
    backupUrl.username = "routeplane_backup";
    backupUrl.password = BACKUP_PASSWORD;
    await backup("dump", file, { ROUTEPLANE_BACKUP_DATABASE_URL: backupUrl.href });
    // The owner of a schema cannot: row-level security is forced on it.
    const ownerUrl = new URL(adminUrl);
    ownerUrl.username = "routeplane_auth_owner";
    ownerUrl.password = secrets.databasePasswords.routeplane_auth_owner;
    await expect(backup("dump", `${file}.owner`, { ROUTEPLANE_BACKUP_DATABASE_URL: ownerUrl.href })).rejects.toThrow();

    for (let request = 0; request < 4; request += 1) expect(await send(leaked.token)).toBe(200);
    await drill.cli(root.token, "keys", "revoke", leaked.id, "--yes");
    const { token: replacement } = await drill.cli<{ token: string }>(root.token, "keys", "rotate", rotated.id);
    await drill.cli(root.token, "policy", "disable", policyId);
    const late = await drill.mint(root.token, "late");
    expect(await send(late.token)).toBe(200);
    await eventually(async () => (await spend()) === 8 * COST);
    await eventually(async () => (await countOf("policy.holds where state = 'open'")) === 1);
    // The events of one more request wait in NATS.
    process.kill((await node.pid("aggregator")) ?? 0, "SIGSTOP");
    expect(await send(root.token)).toBe(200);

    await node.stop();
    await loseAndRestore(node.home, adminUrl, plan, file);
    node = await startNode({ home: node.home, port: node.port });

    expect(await spend()).toBeLessThanOrEqual(4 * COST);
    // Keys: minted since, unknown; revoked since, active; rotated since, the former token.
    expect(await send(late.token)).toBe(401);
    expect(await send(leaked.token)).toBe(200);
    expect(await send(replacement)).toBe(401);
    expect(await send(rotated.token)).toBe(200);
    const policy = await drill.cli<{ disabled_at: string | null }>(root.token, "policy", "get", policyId);
    expect(policy.disabled_at).toBeNull();
    // Three from before the backup, the one that waited in NATS, and two new ones. The five acknowledged ones are lost.
    await eventually(async () => (await spend()) === 6 * COST);
    expect(await reconciles()).toBe(true);
    // The running request is charged in full once its reservation has expired, by the next admission of the policy service itself.
    await query(
      `update policy.holds set expires_at = now() - interval '1 hour' where request_id = '${running.requestId}'`,
    );
    expect(await sendOnce(root.token, "drill")).toBe(200);
    await eventually(async () => (await countOf("policy.holds where state = 'open'")) === 0);
    expect(await countOf(`policy.holds where request_id = '${running.requestId}' and state = 'expired'`)).toBe(1);
  },
);

/** Loses the database of a node that is stopped, and restores it, as the README says. */
async function loseAndRestore(home: string, adminUrl: string, plan: DatabasePlan, file: string): Promise<void> {
  const log = join(home, "log/postgres.log");
  const postgres = new URL(adminUrl);
  const login = { port: Number(postgres.port), password: postgres.password };
  const server = supervise(
    await preparePostgres({
      ...login,
      folder: join(home, "postgres"),
      durable: true,
      log,
      signal: new AbortController().signal,
    }),
    { log },
  );
  await server.started();
  try {
    postgres.pathname = "/postgres";
    await expect(backup("restore", file, { ROUTEPLANE_ADMIN_DATABASE_URL: adminUrl })).rejects.toMatchObject({
      stderr: expect.stringContaining("the database is not empty"),
    });
    const client = new pg.Client({ connectionString: postgres.href });
    await client.connect();
    await client.query("drop database routeplane with (force)");
    await client.end();
    await provision(postgres.href, plan);
    await backup("restore", file, { ROUTEPLANE_ADMIN_DATABASE_URL: adminUrl });
  } finally {
    await server.stop();
    await rm(file);
  }
}
