import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { inject } from "vitest";

const run = promisify(execFile);

/** Copies the home of a node that does not run. Owners stay: the cluster of Postgres belongs to another user. */
export async function copyHome(from: string, to: string): Promise<void> {
  await run("cp", ["--archive", "--reflink=auto", "--no-target-directory", from, to]);
}

/**
 * Gives an empty home secrets and a database with the schemas of every service, as the global set-up has made them: the first start of a
 * node in it needs neither a new cluster nor migrations, and so takes two thirds of the time. Outside of a test run, as in a benchmark,
 * nothing is copied.
 */
export async function copyMigratedHome(to: string): Promise<void> {
  if (process.env["VITEST"] !== undefined) await copyHome(inject("testServers").home, to);
}
