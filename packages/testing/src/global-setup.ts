import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { databasePlan, type DatabasePlan, databaseUrl, provision, type RoleName } from "@routeplane/postgres";
import { CHECKOUT, reservePorts } from "@routeplane/standalone";
import { describeFailure, natsBinary, preparePostgres, runCommand, StartFailure } from "@routeplane/standalone/servers";
import { type ProcessSpec, superuserUrl, supervise } from "@routeplane/standalone/servers";
import type { TestProject } from "vitest/node";
import type { TestServers } from "./test-servers.ts";

const TEMPLATE = "routeplane_template";
const FOLDER = "routeplane-test-";
const MIGRATED = ["auth", "policy", "usage"] as const;

/**
 * Starts a throw-away Postgres whose template database has every schema, and finds a nats-server program, once before the test
 * files run. Postgres and its data are removed at the end. If the run is killed, the kernel ends Postgres and the next run removes
 * the data.
 */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  await removeAbandoned();
  const folder = await mkdtemp(join(tmpdir(), `${FOLDER}${process.pid}-`));
  const { ports } = await reservePorts(1);
  const [port] = ports as [number];
  const postgres = { port, superuserPassword: password() };
  const plan = databasePlan(TEMPLATE, password);
  const log = join(folder, "postgres.log");
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const signal = new AbortController().signal;
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const options = { port, password: postgres.superuserPassword, durable: false, log, signal, say };
    const stop = await start(await preparePostgres({ ...options, folder: join(folder, "postgres") }), log);
    try {
      await provision(superuserUrl({ port, password: postgres.superuserPassword }), plan);
      await Promise.all(MIGRATED.map((service) => migrate(service, plan, port, folder)));
      const natsExecutable = await natsBinary({ environment: process.env, say, signal });
      const { passwords } = plan;
      const servers: TestServers = { postgres: { ...postgres, template: TEMPLATE, passwords }, natsExecutable };
      project.provide("testServers", servers);
    } catch (error) {
      await stop();
      throw error;
    }
    return async () => {
      await stop();
      await remove();
    };
  } catch (error) {
    const description = await describeFailure(error);
    await remove();
    throw new Error(`the tests' servers could not be started: ${description}`, { cause: error });
  }
}

async function start(spec: ProcessSpec, log: string): Promise<() => Promise<void>> {
  const server = supervise(spec, { log });
  try {
    await server.started();
    return server.stop;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function migrate(
  service: (typeof MIGRATED)[number],
  plan: DatabasePlan,
  port: number,
  folder: string,
): Promise<void> {
  const owner: RoleName = `routeplane_${service}_owner`;
  const url = databaseUrl(plan, owner, { host: "127.0.0.1", port });
  const command = {
    executable: process.execPath,
    args: [join(CHECKOUT, `services/${service}/src/migrate.ts`)],
    environment: { ROUTEPLANE_MIGRATION_DATABASE_URL: url },
  };
  const log = join(folder, `migrate-${service}.log`);
  const { code } = await runCommand(command, log, new AbortController().signal);
  if (code !== 0) throw new StartFailure(`the migrations of ${service} failed`, log);
}

/** Removes the folders of runs that were killed. */
async function removeAbandoned(): Promise<void> {
  for (const entry of await readdir(tmpdir())) {
    const [, pid] = /^routeplane-test-(\d+)-/.exec(entry) ?? [];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(tmpdir(), entry), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function password(): string {
  return randomBytes(12).toString("hex");
}
