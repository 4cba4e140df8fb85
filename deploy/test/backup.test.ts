import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";

const SCRIPT = join(import.meta.dirname, "../backup.sh");

/** Stand-in for the programs of PostgreSQL, which writes down its arguments and the password that it is given. */
const STAND_IN = `#!/bin/sh
printf "%s|%s\\n" "\${0##*/} $(printf %s "$*" | tr "\\n" " ")" "$PGPASSWORD" >> "$CALLS"
case $0 in
*pg_dump) for each; do case $each in --file=*) : > "\${each#--file=}" ;; esac; done ;;
*psql) echo 0 ;;
esac
`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-backup-"));
  for (const name of ["pg_dump", "psql", "pg_restore"]) await writeFile(join(folder, name), STAND_IN, { mode: 0o755 });
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs the script. @returns arguments and password of each call of a program */
async function run(command: "dump" | "restore", url: string) {
  const calls = join(folder, "calls");
  await rm(calls, { force: true });
  const env = {
    PATH: process.env["PATH"],
    CALLS: calls,
    ROUTEPLANE_PG_TOOLS: `${folder}/`,
    ROUTEPLANE_BACKUP_DATABASE_URL: url,
    ROUTEPLANE_ADMIN_DATABASE_URL: url,
  };
  await promisify(execFile)("sh", [SCRIPT, command, join(folder, "dump")], { env });
  const lines = (await readFile(calls, "utf8")).trimEnd().split("\n");
  return lines.map((line) => ({
    arguments: line.slice(0, line.indexOf("|")),
    password: line.slice(line.indexOf("|") + 1),
  }));
}

const PASSWORD = "a:b%c/d@é$x";
const url = (password: string): string => `postgres://backup${password}@host:5432/routeplane?sslmode=require`;

it.each(["dump", "restore"] as const)("keeps the password out of the command lines of a %s", async (command) => {
  const calls = await run(command, url(`:${encodeURIComponent(PASSWORD)}`));
  expect(calls.length).toBe(command === "dump" ? 1 : 2);
  for (const call of calls)
    expect(call).toEqual({ arguments: expect.stringContaining(`--dbname=${url("")}`), password: PASSWORD });
});

it("passes a connection string without a password on as it is", async () => {
  expect(await run("dump", url(""))).toEqual([
    { arguments: expect.stringContaining(`--dbname=${url("")}`), password: "" },
  ]);
});
