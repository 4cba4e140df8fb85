import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { databasePlan, databaseUrl, migrateToLatest, provision, type RoleName } from "@routeplane/postgres";
import { reservePorts } from "@routeplane/standalone";
import {
  natsBinary,
  natsUrl,
  prepareNats,
  preparePostgres,
  supervise,
  superuserUrl,
} from "@routeplane/standalone/servers";
import { migrations } from "../../services/usage/migrations/index.ts";

/** Servers that the usage processes need, with the settings of a node: Postgres with durable commits, and NATS. */
export interface UsageServers {
  readonly adminUrl: string;
  readonly url: (role: RoleName) => string;
  readonly natsUrl: string;
  readonly postgresPid: number;
  readonly natsPid: number;
  /** Folder for files of the bench. */
  readonly folder: string;
  /** Stops the servers and removes their data. */
  remove(): Promise<void>;
}

export async function startUsageServers(): Promise<UsageServers> {
  const folder = await mkdtemp(join(tmpdir(), "routeplane-bench-"));
  const { ports, release } = await reservePorts(2);
  const [port, natsPort] = ports as [number, number];
  const signal = new AbortController().signal;
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const postgresLog = join(folder, "postgres.log");
  const login = { port, password: "bench" };
  const data = { folder: join(folder, "postgres"), durable: true, log: postgresLog, signal, say };
  const postgres = supervise(await preparePostgres({ ...login, ...data }), { log: postgresLog });
  const executable = await natsBinary({ environment: process.env, say, signal });
  const broker = { port: natsPort, password: "bench", passwords: { gateway: "bench", aggregator: "bench" } };
  const nats = supervise(await prepareNats({ ...broker, executable, folder: join(folder, "nats") }), {
    log: join(folder, "nats.log"),
  });
  const remove = async (): Promise<void> => {
    await Promise.all([postgres.stop(), nats.stop()]);
    release();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Promise.all([postgres.started(), nats.started()]);
    const plan = databasePlan("routeplane", () => "bench");
    const url = (role: RoleName): string => databaseUrl(plan, role, { host: "127.0.0.1", port });
    await provision(superuserUrl(login), plan);
    await migrateToLatest({ url: url("routeplane_usage_owner"), schema: "usage", migrations });
    const adminUrl = superuserUrl(login).replace(/[^/]*$/, plan.database);
    const pids = { postgresPid: postgres.pid() ?? 0, natsPid: nats.pid() ?? 0 };
    return { adminUrl, url, natsUrl: natsUrl(broker), ...pids, folder, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
