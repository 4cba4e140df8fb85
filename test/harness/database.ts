import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** Of a node's superuser, past row-level security: from what the node has saved and where its server says that it listens. */
export async function superuserUrl(home: string): Promise<string> {
  const { superuserPassword } = JSON.parse(await readFile(join(home, "secrets.json"), "utf8"));
  const lines = (await readFile(join(home, "postgres/data/postmaster.pid"), "utf8")).split("\n");
  return `postgres://postgres:${superuserPassword}@127.0.0.1:${lines[3]}/routeplane`;
}
