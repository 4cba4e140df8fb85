import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DatabasePlan, databaseUrl, provision, type RoleName } from "@routeplane/postgres";
import { CHECKOUT, reservePorts } from "@routeplane/standalone";
import { describeFailure, loadSecrets, natsBinary, planOf } from "@routeplane/standalone/servers";
import { preparePostgres, type ProcessSpec, runCommand } from "@routeplane/standalone/servers";
import { StartFailure, superuserUrl, supervise } from "@routeplane/standalone/servers";
import type { TestProject } from "vitest/node";
import { compileCache } from "./compile-cache.ts";
import { copyHome } from "./copy-home.ts";
import type { TestServers } from "./test-servers.ts";

const FOLDER = "routeplane-test-";
const MIGRATED = ["auth", "policy", "usage"] as const;

/**
 * Starts a throw-away Postgres whose template database has every schema, keeps a copy of it as the home of a node that has not been
 * started yet, and finds a nats-server program, once before the test files run. All projects of a run share them: the first call of this
 * function starts them, further calls do nothing. Postgres and its data are removed at the end. If the run is killed, the kernel ends
 * Postgres and the next run removes the data.
 */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const root = project.vitest.getRootProject();
  if (root.getProvidedContext().testServers !== undefined) return async () => {};
  await removeAbandoned();
  const folder = await mkdtemp(join(tmpdir(), `${FOLDER}${process.pid}-`));
  const { ports } = await reservePorts(1);
  const [port] = ports as [number];
  const [home, template] = [join(folder, "home"), join(folder, "template")];
  await mkdir(home, { mode: 0o700 });
  const secrets = await loadSecrets(join(home, "secrets.json"));
  const { superuserPassword } = secrets;
  const plan = planOf(secrets);
  const log = join(folder, "postgres.log");
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const signal = new AbortController().signal;
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const options = {
      port,
      password: superuserPassword,
      durable: false,
      log,
      signal,
      say,
      folder: join(home, "postgres"),
    };
    const startPostgres = async (): Promise<() => Promise<void>> => start(await preparePostgres(options), log);
    let stop = await startPostgres();
    try {
      await provision(superuserUrl({ port, password: superuserPassword }), plan);
      await Promise.all(MIGRATED.map((service) => migrate(service, plan, port, folder)));
      // A copy is whole only while the server is down.
      await stop();
      await copyHome(home, template);
      stop = await startPostgres();
      const natsExecutable = await natsBinary({ environment: process.env, say, signal });
      const postgres = { port, superuserPassword, template: plan.database, passwords: plan.passwords };
      const servers: TestServers = { postgres, home: template, natsExecutable };
      root.provide("testServers", servers);
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
    environment: { ...compileCache(), ROUTEPLANE_MIGRATION_DATABASE_URL: url },
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
