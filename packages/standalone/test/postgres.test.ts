import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { provision } from "@routeplane/postgres";
import { reservePorts } from "../src/ports.ts";
import { supervise } from "../src/process/supervise.ts";
import { planOf, loadSecrets } from "../src/secrets.ts";
import { type PostgresOptions, preparePostgres, superuserUrl } from "../src/servers/postgres.ts";

let closed: string;
let options: PostgresOptions;
beforeAll(async () => {
  // Like /root: no other user can access what is in it.
  closed = await mkdtemp(join(tmpdir(), "routeplane-postgres-"));
  await chmod(closed, 0o700);
  const { ports } = await reservePorts(1);
  const log = join(closed, "postgres.log");
  const signal = new AbortController().signal;
  options = { folder: join(closed, "node/postgres"), port: ports[0]!, password: "secret", durable: false, log, signal };
  await mkdir(join(closed, "node"));
});
afterAll(() => rm(closed, { recursive: true }));

async function whileRunning(work: (url: string) => Promise<void>): Promise<void> {
  const server = supervise(await preparePostgres(options), { log: options.log });
  try {
    await server.started();
    await work(superuserUrl(options));
  } finally {
    await server.stop();
  }
}

it("runs in a folder that only its owner can reach, and keeps its data there", async () => {
  const plan = planOf(await loadSecrets(join(closed, "secrets.json")));
  await whileRunning((url) => provision(url, plan));
  await whileRunning((url) => provision(url, plan));
});

it("refuses a wrong password", async () => {
  const plan = planOf(await loadSecrets(join(closed, "secrets.json")));
  const wrong = { port: options.port, password: "wrong" };
  await whileRunning(async () => {
    await expect(provision(superuserUrl(wrong), plan)).rejects.toThrow("password authentication failed");
  });
});

it("does not touch a cluster of another major version", async () => {
  const folder = join(closed, "older");
  await mkdir(join(folder, "data"), { recursive: true });
  await writeFile(join(folder, "data/PG_VERSION"), "15\n");
  await expect(preparePostgres({ ...options, folder })).rejects.toThrow(/was made by PostgreSQL 15, this is 18/);
});
