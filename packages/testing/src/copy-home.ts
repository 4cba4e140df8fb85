import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { inject } from "vitest";

const run = promisify(execFile);

/** Copies the home of a node that does not run. Owners stay: the cluster of Postgres belongs to another user. */
export async function copyHome(from: string, to: string): Promise<void> {
  await run("cp", ["--archive", "--reflink=auto", "--no-target-directory", from, to]);
}

/**
 * Gives an empty home secrets and a database with the schemas of every service, as the global set-up has made them: a node starts in
 * it for the first time without making a cluster and migrating, which takes two thirds as long. Nothing is copied outside of a test
 * run, as in a benchmark.
 */
export async function copyMigratedHome(to: string): Promise<void> {
  if (process.env["VITEST"] !== undefined) await copyHome(inject("testServers").home, to);
}
