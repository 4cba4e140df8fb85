import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reservePorts } from "@routeplane/standalone";
import { eventually } from "@routeplane/testing";
import pg from "pg";

/** PgBouncer in transaction mode in front of a server. */
export interface PgBouncer {
  /** The URL of the same login through the pooler. */
  through(url: string): string;
  /** Ends it as a crash would, and starts it again at the same port. */
  restart(): Promise<void>;
  output(): string;
  stop(): Promise<void>;
}

/** Number of connections to Postgres for each role. */
export const POOL_SIZE = 3;
const NOBODY = 65_534;

/** Program and first arguments. ROUTEPLANE_PGBOUNCER is a command line; `pgbouncer` of the PATH by default. */
const [program = "", ...first] = (process.env["ROUTEPLANE_PGBOUNCER"] ?? "pgbouncer").split(" ");

/** Starts it with the passwords of these logins. @throws Error if there is no PgBouncer that keeps prepared statements */
export async function startPgBouncer(urls: readonly string[]): Promise<PgBouncer> {
  const [, major = 0, minor = 0] = /(\d+)\.(\d+)/.exec(execFileSync(program, [...first, "--version"]).toString()) ?? [];
  if (Number(major) === 1 && Number(minor) < 21)
    throw new Error(`PgBouncer ${major}.${minor} keeps no prepared statements: 1.21 is needed`);
  const folder = await mkdtemp(join(tmpdir(), "routeplane-pgbouncer-"));
  await chmod(folder, 0o755);
  const { ports, release } = await reservePorts(1);
  const [port = 0] = ports;
  const server = new URL(urls[0] ?? "");
  const users = urls.map((url) => {
    const { username, password } = new URL(url);
    return `"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"`;
  });
  const file = (name: string) => join(folder, name);
  await writeFile(file("users.txt"), users.join("\n"));
  await writeFile(
    file("pgbouncer.ini"),
    `[databases]
* = host=${server.hostname} port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${file("users.txt")}
pool_mode = transaction
default_pool_size = ${POOL_SIZE}
max_prepared_statements = 200
`,
  );
  const through = (url: string): string => {
    const pooled = new URL(url);
    [pooled.hostname, pooled.port] = ["127.0.0.1", String(port)];
    return pooled.href;
  };
  let output = "";
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    const started = spawn(program, [...first, file("pgbouncer.ini")], {
      stdio: ["ignore", "pipe", "pipe"],
      // It refuses to run as root.
      ...(process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
    });
    for (const stream of [started.stdout, started.stderr])
      stream.on("data", (text: Buffer) => {
        output += text.toString();
      });
    child = started;
    await eventually(() => answers(through(urls[0] ?? "")));
  };
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  await start();
  return {
    through,
    async restart() {
      await kill();
      await start();
    },
    output: () => output,
    async stop() {
      await kill();
      release();
      await rm(folder, { recursive: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}
