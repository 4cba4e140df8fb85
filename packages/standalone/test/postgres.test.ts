import { spawn } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { provision } from "@routeplane/postgres";
import { reservePorts } from "../src/ports.ts";
import { supervise } from "../src/process/supervise.ts";
import { planOf, loadSecrets } from "../src/secrets.ts";
import { postgresUser } from "../src/servers/postgres-binaries.ts";
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

it("starts after a crash of the machine when another process has the pid of the former server", async () => {
  await whileRunning(async () => {});
  const user = await postgresUser(() => {});
  const other = spawn("sleep", ["60"], { cwd: "/", ...user });
  onTestFinished(() => void other.kill());
  const file = join(options.folder, "data/postmaster.pid");
  await writeFile(file, `${other.pid}\n/proc/self/fd/3/data\n1\n${options.port}\n\n127.0.0.1\n1 1\nready   \n`);
  if (user !== undefined) await chown(file, user.uid, user.gid);
  const plan = planOf(await loadSecrets(join(closed, "secrets.json")));
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
