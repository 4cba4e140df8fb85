import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrations as authMigrations } from "@routeplane/auth/migrations/index.ts";
import { migrations as policyMigrations } from "@routeplane/policy/migrations/index.ts";
import { migrateToLatest, type Migrations, type RoleName } from "@routeplane/postgres";
import { reservePorts } from "@routeplane/standalone";
import { cloneDatabase, eventually, startNats } from "@routeplane/testing";
import { migrations as usageMigrations } from "@routeplane/usage/migrations/index.ts";
import pg from "pg";
import { afterAll, expect, it } from "vitest";
import { bundle } from "../bundle.ts";
import { buildKustomization } from "./kustomize.ts";
import { passes } from "./probes.ts";
import { type RunningRole, runToExit, startRole } from "./role-process.ts";
import { type Workload, workloadsOf } from "./workloads.ts";

/**
 * A node as in the manifests, but without Kubernetes: the processes of the bundle with the environment of the manifests, on real
 * Postgres and NATS, probed as the kubelet does.
 */
const WORKLOADS = workloadsOf((await Promise.all(["base", "provision", "bootstrap"].map(buildKustomization))).flat());
const SCHEMAS: Readonly<Record<string, Migrations>> = {
  auth: authMigrations,
  policy: policyMigrations,
  usage: usageMigrations,
};
const SERVING = WORKLOADS.filter(({ kind }) => kind === "Deployment");
const DATABASE = `deploy_${randomBytes(8).toString("hex")}`;
const PROVIDERS_FILE = join(import.meta.dirname, "../kustomize/base/providers.yaml");

const folder = await mkdtemp(join(tmpdir(), "routeplane-deploy-"));
const [server, nats, { entry }, reserved] = await Promise.all([
  cloneDatabase(),
  startNats(),
  bundle(folder),
  reservePorts(2 * SERVING.length),
]);
const running = new Map<string, RunningRole>();

afterAll(async () => {
  await Promise.all([...running.values()].map((role) => role.stop()));
  await execute(`drop database if exists ${DATABASE} with (force)`);
  await Promise.all([server.drop(), nats.remove(), rm(folder, { recursive: true, force: true })]);
  reserved.release();
});

const byName = ([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number =>
  one < other ? -1 : 1;

/** Port on which a role listens on this machine. */
const portOf = (role: string): number => reserved.ports[SERVING.findIndex((workload) => workload.role === role)] ?? 0;

const operationsPortOf = (role: string): number =>
  reserved.ports[SERVING.length + SERVING.findIndex((workload) => workload.role === role)] ?? 0;

/** Environment of a workload, with addresses of this machine and values of its Secrets. */
function environmentOf({ role, environment }: Workload): Record<string, string> {
  const secrets: Record<string, string> = {
    ROUTEPLANE_SERVICE_TOKEN: `rps_of-${role}`,
    ROUTEPLANE_SERVICE_CREDENTIALS: ["gateway", "policy", "usage", "bootstrap"]
      .map(
        (caller) =>
          `${caller.replace("bootstrap", "installer")}:${createHash("sha256").update(`rps_of-${caller}`).digest("hex")}`,
      )
      .join(","),
    ROUTEPLANE_KEY_PEPPERS: `p1:${"0f".repeat(32)}`,
    ROUTEPLANE_NATS_URL: role === "gateway" ? nats.gatewayUrl : nats.aggregatorUrl,
    ROUTEPLANE_ADMIN_DATABASE_URL: server.adminUrl,
    ROUTEPLANE_DATABASE_URL: databaseUrl(`routeplane_${role}` as RoleName),
    ROUTEPLANE_MIGRATION_DATABASE_URL: databaseUrl(`routeplane_${role.replace("migrate-", "")}_owner` as RoleName),
  };
  const localValue = (name: string, value: string | undefined): string | undefined => {
    const [, roleName] = /^ROUTEPLANE_PASSWORD_(.+)$/.exec(name) ?? [];
    if (roleName !== undefined) return new URL(server.url(`routeplane_${roleName.toLowerCase()}` as RoleName)).password;
    if (name === "ROUTEPLANE_PORT") return String(portOf(role));
    if (name === "ROUTEPLANE_OPERATIONS_PORT") return String(operationsPortOf(role));
    if (name === "ROUTEPLANE_GRPC_PORT") return "0";
    if (name === "ROUTEPLANE_PROVIDERS") return PROVIDERS_FILE;
    if (name === "ROUTEPLANE_SPOOL_DIR") return join(folder, "spool");
    const [, callee = ""] = /^http:\/\/routeplane-([a-z]+):\d+$/.exec(value ?? "") ?? [];
    return callee === "" ? (value ?? secrets[name]) : `http://127.0.0.1:${portOf(callee)}`;
  };
  const variables = [...environment].flatMap(([name, value]) => {
    const text = localValue(name, value);
    return text === undefined ? [] : [[name, text] as const];
  });
  return Object.fromEntries(role === "provision" ? [...variables, ["ROUTEPLANE_DATABASE", DATABASE]] : variables);
}

function databaseUrl(role: RoleName): string {
  const url = new URL(server.url(role));
  url.pathname = `/${DATABASE}`;
  return url.href;
}

async function execute(statement: string, url = server.adminUrl): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function runJob(role: string): Promise<string> {
  const workload = WORKLOADS.find((candidate) => candidate.role === role);
  if (workload === undefined) throw new Error(`no Job runs ${role}`);
  const { code, stdout, stderr } = await runToExit(entry, role, environmentOf(workload));
  expect(code, stderr).toBe(0);
  return stdout;
}

const isReady = ({ role, container }: Workload): Promise<boolean> =>
  passes(container.readinessProbe, operationsPortOf(role));

it(
  "is alive but not ready until its database is provisioned and migrated, and then ready without a restart",
  { timeout: 90_000 },
  async () => {
    for (const workload of SERVING)
      running.set(workload.role, startRole(entry, workload.role, environmentOf(workload)));
    for (const { role, container } of SERVING) {
      const isAlive = (): Promise<boolean> => passes(container.livenessProbe, operationsPortOf(role));
      await eventually(isAlive, 20_000).catch((cause: unknown) => {
        throw new Error(`${role} is not alive: ${running.get(role)?.output()}`, { cause });
      });
      expect(await passes(container.startupProbe, operationsPortOf(role)), role).toBe(true);
    }
    // The gateway is ready by itself, so that its callers get an answer that says what is missing.
    const services = SERVING.filter(({ role }) => role !== "gateway");
    for (const workload of SERVING) expect(await isReady(workload), workload.role).toBe(workload.role === "gateway");
    const health = await fetch(`http://127.0.0.1:${portOf("gateway")}/healthz`);
    expect(health.status).toBe(503);
    expect(await health.json()).toMatchObject({ status: "unavailable", dependencies: { auth: "unreachable" } });

    expect(await runJob("provision")).toContain(DATABASE);
    for (const workload of services) expect(await isReady(workload), workload.role).toBe(false);

    // The schema of the previous release: every table is there, and the newest migration is not.
    for (const [schema, migrations] of Object.entries(SCHEMAS)) {
      const previous = Object.fromEntries(Object.entries(migrations).toSorted(byName).slice(0, -1));
      const url = databaseUrl(`routeplane_${schema}_owner` as RoleName);
      await migrateToLatest({ url, schema, migrations: previous });
    }
    for (const { role } of services) {
      const newest = Object.keys(SCHEMAS[role === "aggregator" ? "usage" : role] ?? {})
        .toSorted()
        .at(-1);
      const reported = `"missing":["${newest}"],"msg":"the schema is older than this build`;
      await eventually(() => running.get(role)?.output().includes(reported) === true, 20_000);
    }
    for (const workload of services) expect(await isReady(workload), workload.role).toBe(false);

    for (const service of ["auth", "policy", "usage"])
      expect(await runJob(`migrate-${service}`)).toMatch(/^[a-z]+: applied \d{4}_\w+\n$/);
    for (const workload of SERVING) {
      await eventually(() => isReady(workload), 20_000).catch((cause: unknown) => {
        throw new Error(`${workload.role} is not ready: ${running.get(workload.role)?.output()}`, { cause });
      });
    }
  },
);

it("runs the same Jobs again without effect", { timeout: 60_000 }, async () => {
  await runJob("provision");
  for (const service of ["auth", "policy", "usage"]) expect(await runJob(`migrate-${service}`)).toContain("up to date");
});

it(
  "serves on a schema that a later release has migrated, and its Job says so and succeeds",
  { timeout: 60_000 },
  async () => {
    for (const schema of Object.keys(SCHEMAS)) {
      await execute(
        `insert into ${schema}.kysely_migration values ('9999_later', now()::text)`,
        databaseUrl(`routeplane_${schema}_owner` as RoleName),
      );
      expect(await runJob(`migrate-${schema}`)).toMatch(/newer than this build, which does not know 9999_later/);
    }
    for (const workload of SERVING) await eventually(() => isReady(workload), 20_000);
  },
);

it(
  "is set up by bootstrap Jobs that run at once and again, around one operator credential",
  { timeout: 60_000 },
  async () => {
    const file = join(folder, "operator-token");
    const workload = WORKLOADS.find(({ role }) => role === "bootstrap") ?? expect.fail("no bootstrap Job");
    const { ROUTEPLANE_OPERATOR_TOKEN: _secret, ...environment } = environmentOf(workload);
    const bootstrap = (credential: Record<string, string>) =>
      runToExit(entry, "bootstrap", { ...environment, ...credential });
    const into = { ROUTEPLANE_OPERATOR_TOKEN_FILE: file };
    for (const { code, stdout, stderr } of await Promise.all([bootstrap(into), bootstrap(into), bootstrap(into)])) {
      expect(code, stderr).toBe(0);
      expect(stdout).toMatch(/the node is set up \(acc_\w+, ns_\w+\); its operator credential is in /);
    }
    const token = (await readFile(file, "utf8")).trim();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await readdir(folder)).filter((name) => name.startsWith("operator-token"))).toEqual(["operator-token"]);

    const from = await bootstrap({ ROUTEPLANE_OPERATOR_TOKEN: `${token}\n` });
    expect([from.code, from.stdout.includes(token)]).toEqual([0, false]);
    const whoAmI = (credential: string) =>
      fetch(`http://127.0.0.1:${portOf("gateway")}/routeplane.auth.v1.IdentityService/WhoAmI`, {
        method: "POST",
        headers: { authorization: `Bearer ${credential}`, "content-type": "application/json" },
        body: "{}",
      });
    expect((await whoAmI(token)).status).toBe(200);

    const { stdout: other } = await runToExit(entry, "operator-token", {});
    const refused = await bootstrap({ ROUTEPLANE_OPERATOR_TOKEN: other });
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/set up with another operator credential/),
    ]);
    expect((await whoAmI(other.trim())).status).toBe(401);
    const lost = await bootstrap({ ROUTEPLANE_OPERATOR_TOKEN_FILE: "/proc/operator-token" });
    expect([lost.code, lost.stderr]).toEqual([1, expect.stringMatching(/cannot be read or created/)]);
  },
);

it("ends with exit code 0 on SIGTERM", { timeout: 60_000 }, async () => {
  const codes = await Promise.all([...running].map(async ([role, process]) => [role, await process.stop()] as const));
  expect(Object.fromEntries(codes)).toEqual(Object.fromEntries(SERVING.map(({ role }) => [role, 0])));
});
