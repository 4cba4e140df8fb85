import { execFile } from "node:child_process";
import { chown, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { superuserUrl } from "./database.ts";

const run = promisify(execFile);

/**
 * Base backup of a running node's Postgres by the server's low-level API, because the embedded server has no pg_basebackup. Copies the
 * files while they are written, then the write-ahead log that makes them consistent.
 *
 * @returns a function that replaces the data of the stopped node by the backup
 */
export async function takeBaseBackup(home: string, folder: string): Promise<() => Promise<void>> {
  const data = join(home, "postgres/data");
  const [files, log] = [join(folder, "files.tar"), join(folder, "wal.tar")];
  const client = new pg.Client({ connectionString: await superuserUrl(home) });
  await client.connect();
  let label = "";
  try {
    await client.query("select pg_backup_start('drill', fast => true)");
    // Exit code 1: a file changed or went away meanwhile, which the log repairs.
    const running = ["--exclude=./pg_wal/*", "--exclude=./postmaster.pid", "--exclude=./postmaster.opts"];
    await tar(["--create", `--file=${files}`, `--directory=${data}`, ...running, "."]);
    const stopped = await client.query<{ labelfile: string }>("select labelfile from pg_backup_stop(false)");
    label = stopped.rows[0]?.labelfile ?? "";
    await tar(["--create", `--file=${log}`, `--directory=${data}`, "./pg_wal"]);
  } finally {
    await client.end();
  }
  return async () => {
    const { uid, gid } = await stat(data);
    for (const name of ["base", "global", "pg_wal", "pg_xact", "pg_multixact"])
      await rm(join(data, name), { recursive: true });
    for (const archive of [files, log])
      await tar(["--extract", `--file=${archive}`, `--directory=${data}`, "--same-owner", "--same-permissions"]);
    const labelFile = join(data, "backup_label");
    await writeFile(labelFile, label, { mode: 0o600 });
    await chown(labelFile, uid, gid);
  };
}

async function tar(args: readonly string[]): Promise<void> {
  await run("tar", [...args]).catch((error: Error & { code?: unknown }) => {
    if (error.code !== 1) throw error;
  });
}
