import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { BootstrapService, KeyService } from "@routeplane/contracts/auth";
import { BudgetService, BudgetWindow, PrincipalType } from "@routeplane/contracts/policy";
import { ALL_SCOPES, mintToken } from "@routeplane/credentials";
import type { RoleName } from "@routeplane/postgres";
import { serviceTransport } from "@routeplane/rpc";
import { reservePorts } from "@routeplane/standalone";
import { cloneDatabase, eventually, startNats } from "@routeplane/testing";
import pg from "pg";
import { afterAll, expect, it } from "vitest";
import { bundle } from "../../deploy/bundle.ts";
import { type RunningRole, startRole } from "../../deploy/test/role-process.ts";
import { POOL_SIZE, startPgBouncer } from "./start-pgbouncer.ts";

/** Tests of all services through PgBouncer in transaction mode, except for the connections that listen for changes. */
const ROLES = ["auth", "policy", "usage", "aggregator", "gateway"] as const;
type Role = (typeof ROLES)[number];
const REQUESTS = 400;
const CONCURRENCY = 24;

const roleOf = (role: string) => `routeplane_${role}` as RoleName;
const folder = await mkdtemp(join(tmpdir(), "routeplane-pooled-"));
const [database, nats, { entry }, reserved] = await Promise.all([
  cloneDatabase(),
  startNats(),
  bundle(join(folder, "bundle")),
  reservePorts(ROLES.length),
]);
const pooled = ["auth", "policy", "usage", "aggregator"] as const;
const pooler = await startPgBouncer(pooled.map((role) => database.url(roleOf(role))));
const admin = new pg.Client({ connectionString: database.adminUrl });
await admin.connect();
const running: RunningRole[] = [];
afterAll(async () => {
  for (const role of running.toReversed()) await role.stop();
  await admin.end();
  await pooler.stop();
  await Promise.all([database.drop(), nats.remove(), rm(folder, { recursive: true })]);
  reserved.release();
});

const urlOf = (role: Role): string => `http://127.0.0.1:${reserved.ports[ROLES.indexOf(role)]}`;
const tokenOf = (caller: string): string => `rps_of-${caller}`;

function environmentOf(role: Role): Record<string, string> {
  const accepted = ["gateway", "policy", "usage", "installer"].map(
    (caller) => `${caller}:${createHash("sha256").update(tokenOf(caller)).digest("hex")}`,
  );
  const own: Record<string, string> =
    role === "gateway"
      ? { ROUTEPLANE_NATS_URL: nats.gatewayUrl, ROUTEPLANE_SPOOL_DIR: join(folder, "spool"), ROUTEPLANE_ECHO: "on" }
      : {
          ROUTEPLANE_NATS_URL: nats.aggregatorUrl,
          ROUTEPLANE_DATABASE_URL: pooler.through(database.url(roleOf(role))),
          ROUTEPLANE_DATABASE_LISTEN_URL: database.url(roleOf(role)),
          ROUTEPLANE_DATABASE_POOL_SIZE: "20",
        };
  return {
    ROUTEPLANE_PORT: new URL(urlOf(role)).port,
    ROUTEPLANE_GRPC_PORT: "0",
    ROUTEPLANE_AUTH_URL: urlOf("auth"),
    ROUTEPLANE_POLICY_URL: urlOf("policy"),
    ROUTEPLANE_USAGE_URL: urlOf("usage"),
    ROUTEPLANE_SERVICE_TOKEN: tokenOf(role),
    ROUTEPLANE_SERVICE_CREDENTIALS: accepted.join(","),
    ROUTEPLANE_KEY_PEPPERS: `p1:${"0f".repeat(32)}`,
    ...own,
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

const send = async (token: string): Promise<Answer> => {
  const response = await fetch(`${urlOf("gateway")}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "echo", messages: [{ role: "user", content: "Hello" }], max_tokens: 20 }),
  });
  return { status: response.status, body: await response.text() };
};
/**
 * Answer to a request. It is repeated, as clients do, if policy or auth took longer than the 2 s that a gateway waits, because of a busy
 * CPU.
 */
const answerTo = (token: string): Promise<Answer> =>
  eventually(async () => {
    const answer = await send(token);
    return answer.body.includes('"code":"dependency_unavailable"') ? undefined : answer;
  });
const statusOf = async (token: string): Promise<number> => (await send(token)).status;
const countOf = async (query: string): Promise<number> =>
  Number((await admin.query<{ count: string }>(`select count(*) from ${query}`)).rows[0]?.count);

it("serves through PgBouncer in transaction mode, and through its restart", { timeout: 300_000 }, async () => {
  for (const role of ROLES) running.push(startRole(entry, role, environmentOf(role)));
  const healthy = () =>
    fetch(`${urlOf("gateway")}/healthz`).then(
      ({ status }) => status === 200,
      () => false,
    );
  await eventually(healthy, 60_000).catch((cause: unknown) => {
    throw new Error(running.map((role) => role.output()).join("\n"), { cause });
  });
  const operatorToken = mintToken("operator");
  const installer = serviceTransport({ url: urlOf("auth"), serviceToken: tokenOf("installer"), timeoutMs: 10_000 });
  const { namespaceId } = await createClient(BootstrapService, installer).bootstrapNode({ operatorToken });
  const operator = serviceTransport({ url: urlOf("auth"), serviceToken: operatorToken, timeoutMs: 10_000 });
  const keys = createClient(KeyService, operator);
  const mint = (name: string) => keys.mintRootKey({ namespace: "default", name, scopes: [...ALL_SCOPES] });
  const { token, key } = await mint("pooled");

  const policies = serviceTransport({ url: urlOf("policy"), serviceToken: token, timeoutMs: 10_000 });
  await createClient(BudgetService, policies).createBudget({
    name: "shared",
    spec: { window: BudgetWindow.HOUR, limitMicroUsd: 1_000_000_000n },
    bindTo: [{ principalType: PrincipalType.NAMESPACE, principalId: namespaceId }],
  });

  // Far more connections to the pooler than it has to Postgres, so that transactions change connections all the time.
  const answers: Answer[] = [];
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      while (answers.length < REQUESTS) answers.push(await answerTo(token));
    }),
  );
  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  await eventually(async () => (await countOf("usage.requests where status = 'succeeded'")) === answers.length, 30_000);
  await eventually(async () => (await countOf("policy.holds where state = 'open'")) === 0);

  const { rows } = await admin.query<{ role: string; connections: number }>(
    `select usename as role, count(*)::int as connections from pg_stat_activity
     where datname = current_database() and usename like 'routeplane_%' and application_name not like '%-changes'
     group by 1`,
  );
  expect(rows.length).toBe(pooled.length);
  for (const { role, connections } of rows) expect(connections, role).toBeLessThanOrEqual(POOL_SIZE);

  // The change feed, which does not go through the pooler.
  const { token: after } = await mint("after");
  const own = serviceTransport({ url: urlOf("auth"), serviceToken: after, timeoutMs: 10_000 });
  await createClient(KeyService, own).revokeKey({ id: key?.id ?? "" });
  await eventually(async () => (await statusOf(token)) === 401, 5_000);

  await pooler.restart();
  await eventually(async () => (await statusOf(after)) === 200);
  for (const role of running)
    expect(role.output()).not.toMatch(/prepared statement|does not exist|unsupported startup|search_path/);
});
