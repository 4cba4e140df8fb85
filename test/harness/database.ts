import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";

/** Database URL of a node's superuser, who bypasses row-level security: from the node's secrets and its server's pid file. */
export async function superuserUrl(home: string): Promise<string> {
  const { superuserPassword } = JSON.parse(await readFile(join(home, "secrets.json"), "utf8"));
  const lines = (await readFile(join(home, "postgres/data/postmaster.pid"), "utf8")).split("\n");
  return `postgres://postgres:${superuserPassword}@127.0.0.1:${lines[3]}/routeplane`;
}

/** Runs a statement as the superuser, on a connection of its own. @returns its rows */
export async function queryAsSuperuser<Row extends object>(
  home: string,
  statement: string,
  values: readonly unknown[] = [],
): Promise<readonly Row[]> {
  const client = new pg.Client({ connectionString: await superuserUrl(home) });
  await client.connect();
  try {
    return (await client.query<Row>(statement, [...values])).rows;
  } finally {
    await client.end();
  }
}
