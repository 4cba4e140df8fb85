import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrations as authMigrations } from "@routeplane/auth/migrations/index.ts";
import { migrations as policyMigrations } from "@routeplane/policy/migrations/index.ts";
import { migrateToLatest, type Migrations, type RoleName } from "@routeplane/postgres";
import { eventually } from "@routeplane/testing";
import { migrations as usageMigrations } from "@routeplane/usage/migrations/index.ts";
import { afterAll, expect, it } from "vitest";
import { bundle } from "../bundle.ts";
import { buildKustomization } from "./kustomize.ts";
import { createLocalNode } from "./local-node.ts";
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
const README = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
const PROVIDERS_FILE = join(import.meta.dirname, "../kustomize/base/providers.yaml");

const folder = await mkdtemp(join(tmpdir(), "routeplane-deploy-"));
const [node, { entry }] = await Promise.all([createLocalNode(SERVING.map(({ role }) => role)), bundle(folder)]);
const { portOf, operationsPortOf, databaseUrl } = node;
const running = new Map<string, RunningRole>();
await mkdir(join(folder, "console"));
await writeFile(join(folder, "console/index.html"), "<!doctype html><title>Routeplane</title>");

afterAll(async () => {
  await Promise.all([...running.values()].map((role) => role.stop()));
  await Promise.all([node.remove(), rm(folder, { recursive: true, force: true })]);
});

const byName = ([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number =>
  one < other ? -1 : 1;

/** Environment of a workload, with files of this machine. */
function environmentOf(workload: Workload): Record<string, string> {
  const environment = node.environmentOf(workload);
  const paths = { ROUTEPLANE_PROVIDERS: PROVIDERS_FILE, ROUTEPLANE_SPOOL_DIR: join(folder, "spool") };
  const app = { ROUTEPLANE_CONSOLE_DIR: join(folder, "console") };
  return { ...environment, ...(workload.role === "gateway" && paths), ...(workload.role === "console" && app) };
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

it("is alive but not ready until its database is provisioned and migrated, and then ready without a restart", async () => {
  for (const workload of SERVING) running.set(workload.role, startRole(entry, workload.role, environmentOf(workload)));
  for (const { role, container } of SERVING) {
    const isAlive = (): Promise<boolean> => passes(container.livenessProbe, operationsPortOf(role));
    await eventually(isAlive).catch((cause: unknown) => {
      throw new Error(`${role} is not alive: ${running.get(role)?.output()}`, { cause });
    });
    expect(await passes(container.startupProbe, operationsPortOf(role)), role).toBe(true);
  }
  // Gateway and console are ready without other processes, so that their callers get an answer that names what is missing.
  const services = SERVING.filter(({ role }) => role !== "gateway" && role !== "console");
  const open = SERVING.filter((workload) => !services.includes(workload));
  for (const workload of open) await eventually(() => isReady(workload));
  for (const workload of services) expect(await isReady(workload), workload.role).toBe(false);
  const health = await fetch(`http://127.0.0.1:${portOf("gateway")}/healthz`);
  expect(health.status).toBe(503);
  expect(await health.json()).toMatchObject({ status: "unavailable", dependencies: { auth: "unreachable" } });

  expect(await runJob("provision")).toContain(node.database);
  for (const workload of services) expect(await isReady(workload), workload.role).toBe(false);

  // The schema of the previous release: every table exists, and only the newest migration is missing.
  for (const [schema, migrations] of Object.entries(SCHEMAS)) {
    const previous = Object.fromEntries(Object.entries(migrations).toSorted(byName).slice(0, -1));
    const url = databaseUrl(`routeplane_${schema}_owner` as RoleName);
    await migrateToLatest({ url, schema, migrations: previous });
  }
  for (const { role } of services) {
    const newest = Object.keys(SCHEMAS[role === "aggregator" ? "usage" : role] ?? {})
      .toSorted()
      .at(-1);
    const reported = `"missing":["${newest}"],"msg":"schema is older than this build`;
    await eventually(() => running.get(role)?.output().includes(reported) === true).catch((cause: unknown) => {
      throw new Error(`${role} does not report it: ${running.get(role)?.output()}`, { cause });
    });
  }
  for (const workload of services) expect(await isReady(workload), workload.role).toBe(false);

  for (const service of ["auth", "policy", "usage"])
    expect(await runJob(`migrate-${service}`)).toMatch(/^[a-z]+: applied \d{4}_\w+\n$/);
  for (const workload of SERVING) {
    await eventually(() => isReady(workload)).catch((cause: unknown) => {
      throw new Error(`${workload.role} is not ready: ${running.get(workload.role)?.output()}`, { cause });
    });
  }
});

it("runs the same Jobs again without effect", async () => {
  await runJob("provision");
  for (const service of ["auth", "policy", "usage"]) expect(await runJob(`migrate-${service}`)).toContain("up to date");
});

it("serves on a schema that a later release has migrated; its Job reports that and succeeds", async () => {
  for (const schema of Object.keys(SCHEMAS)) {
    await node.execute(
      `insert into ${schema}.kysely_migration values ('9999_later', now()::text)`,
      databaseUrl(`routeplane_${schema}_owner` as RoleName),
    );
    expect(await runJob(`migrate-${schema}`)).toMatch(/newer than this build, which does not know 9999_later/);
  }
  for (const workload of SERVING) await eventually(() => isReady(workload));
});

it("is set up by bootstrap Jobs that run at once and again, with one operator credential", async () => {
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

  // The commands that the README gives after it.
  const commands = [...README.matchAll(/^npx routeplane (cloud .*)$/gm)].map(([, command = ""]) => command);
  expect(commands).toHaveLength(2);
  const cli = join(import.meta.dirname, "../../packages/cli/src/main.ts");
  for (const command of commands) {
    const variables = {
      PATH: process.env["PATH"] ?? "",
      HOME: folder,
      ROUTEPLANE_HOME: folder,
      ROUTEPLANE_URL: `http://127.0.0.1:${portOf("gateway")}`,
      ROUTEPLANE_API_KEY: token,
    };
    execFileSync("sh", ["-c", `"$0" "$1" ${command}`, process.execPath, cli], { env: variables, encoding: "utf8" });
  }

  const { stdout: other } = await runToExit(entry, "operator-token", {});
  const refused = await bootstrap({ ROUTEPLANE_OPERATOR_TOKEN: other });
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/set up with another operator credential/)]);
  expect((await whoAmI(other.trim())).status).toBe(401);
  const lost = await bootstrap({ ROUTEPLANE_OPERATOR_TOKEN_FILE: "/proc/operator-token" });
  expect([lost.code, lost.stderr]).toEqual([1, expect.stringMatching(/cannot be read or created/)]);
});

it("ends with exit code 0 on SIGTERM", async () => {
  const codes = await Promise.all([...running].map(async ([role, process]) => [role, await process.stop()] as const));
  expect(Object.fromEntries(codes)).toEqual(Object.fromEntries(SERVING.map(({ role }) => [role, 0])));
});
