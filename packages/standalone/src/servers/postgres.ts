import { closeSync, openSync } from "node:fs";
import { chmod, chown, mkdir, readFile, readlink, realpath, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { logSize, StartFailure } from "../start-failure.ts";
import { type Command, describeEnding, runCommand } from "../process/command.ts";
import type { ProcessSpec } from "../process/supervise.ts";
import { readIfExists } from "../saved-files.ts";
import { postgresBinaries, type PostgresBinaries, postgresUser } from "./postgres-binaries.ts";

export interface PostgresOptions {
  /** Folder for the cluster, which is `data` in it; created if missing. */
  readonly folder: string;
  /** Port on 127.0.0.1. */
  readonly port: number;
  /** Password of the superuser `postgres`. It takes effect when the cluster is created. */
  readonly password: string;
  /** False for throw-away clusters: faster, but commits are lost if the machine crashes. */
  readonly durable: boolean;
  readonly log: string;
  readonly signal: AbortSignal;
  readonly environment?: Readonly<Record<string, string>>;
  readonly say?: (text: string) => void;
}

/** Creates the cluster if there is none. Returns how to run the server, which listens on TCP only, with SCRAM passwords. */
export async function preparePostgres(options: PostgresOptions): Promise<ProcessSpec> {
  const { folder, port, durable, say = () => {} } = options;
  const user = await postgresUser(say);
  const binaries = await postgresBinaries(user);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  if (user !== undefined) await chown(folder, user.uid, user.gid);

  const descriptor = openSync(folder, "r");
  // Another user reaches its folder through an open descriptor and needs no permission on the folders above it, so a home
  // under /root, or made by mktemp, stays closed to everyone else.
  const reachable = user === undefined ? folder : "/proc/self/fd/3";
  const command = (executable: string, args: readonly string[]): Command => ({
    executable,
    args,
    environment: { ...options.environment, LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin" },
    // The working directory of this process is possibly closed to that user.
    folder: "/",
    user,
    descriptors: [descriptor],
    parentDeathSignal: "INT",
  });
  try {
    await ensureCluster(options, binaries, (args) => command(binaries.initdb, args(reachable)));
    await removeStalePidFile(join(folder, "data"));
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return {
    role: "postgres",
    command: command(binaries.postgres, ["-D", join(reachable, "data"), ...settings(port, durable)]),
    isReady: (pid) => reportsReady(folder, pid),
    // Recovery after a crash replays the log since the last checkpoint.
    startTimeoutMs: 300_000,
    // After a kill -9 Postgres refuses to start until the last of its former workers has ended.
    startRetries: 5,
    stopSignal: "SIGINT",
    stopTimeoutMs: 15_000,
    release: () => closeSync(descriptor),
  };
}

/** URL of the database `postgres` for the superuser. */
export function superuserUrl({ port, password }: Pick<PostgresOptions, "port" | "password">): string {
  return `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`;
}

function settings(port: number, durable: boolean): string[] {
  const switched = durable ? "on" : "off";
  return Object.entries({
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: 200,
    password_encryption: "scram-sha-256",
    fsync: switched,
    full_page_writes: switched,
    synchronous_commit: switched,
    timezone: "UTC",
    log_timezone: "UTC",
    log_checkpoints: "off",
    // Logged statements could hold data of users.
    log_min_error_statement: "panic",
  }).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

/** Creates the cluster unless it exists. It is created under another name first, so one that exists is complete. */
async function ensureCluster(
  options: PostgresOptions,
  { majorVersion }: PostgresBinaries,
  initdb: (args: (folder: string) => string[]) => Command,
): Promise<void> {
  const { folder, password, durable, log, signal } = options;
  const version = await readIfExists(join(folder, "data/PG_VERSION"));
  if (version?.trim() === majorVersion) return;
  if (version !== undefined) {
    throw new StartFailure(
      `${folder} was made by PostgreSQL ${version.trim()}, this is ${majorVersion}: dump it with the old version first`,
    );
  }
  const passwordFile = join(folder, "initdb-password");
  await rm(join(folder, "data.new"), { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  const command = initdb((reached) => [
    `--pgdata=${join(reached, "data.new")}`,
    "--username=postgres",
    "--auth=scram-sha-256",
    `--pwfile=${join(reached, "initdb-password")}`,
    // Sorts and folds case alike on every machine, whatever its locales.
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    ...(durable ? [] : ["--no-sync"]),
  ]);
  try {
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600, flag: "wx" });
    if (command.user !== undefined) await chown(passwordFile, command.user.uid, command.user.gid);
    const logStart = logSize(log);
    const ending = await runCommand(command, log, signal);
    if (ending.code !== 0) throw new StartFailure(`initdb ${describeEnding(ending)}`, log, logStart);
    await rename(join(folder, "data.new"), join(folder, "data"));
  } finally {
    await rm(passwordFile, { force: true });
  }
}

/**
 * Removes a postmaster.pid whose process id now belongs to another program, as after a crash of the machine: Postgres would refuse to start.
 * A server works in its data folder; a process whose folder cannot be read is left to Postgres to judge.
 */
async function removeStalePidFile(data: string): Promise<void> {
  const file = join(data, "postmaster.pid");
  const pid = Number.parseInt((await readIfExists(file)) ?? "", 10);
  const workingFolder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  if (workingFolder !== undefined && workingFolder !== (await realpath(data))) await rm(file, { force: true });
}

/** True if postmaster.pid reports `ready` on line 8, as pg_ctl reads it, for the process on line 1. */
async function reportsReady(folder: string, pid: number): Promise<boolean> {
  const text = await readFile(join(folder, "data/postmaster.pid"), "utf8").catch(() => "");
  const lines = text.split("\n").map((line) => line.trim());
  return lines[0] === `${pid}` && lines[7] === "ready";
}
