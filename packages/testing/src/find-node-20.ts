import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

/**
 * Finds Node.js 20, on which packages that are installed must run: the first of the PATH, else the one of its npm package.
 *
 * @param folder folder that the npm package may be installed below
 */
export async function findNode20(folder: string): Promise<string> {
  for (const entry of (process.env["PATH"] ?? "").split(delimiter)) {
    const candidate = join(entry, "node");
    if (existsSync(candidate) && (await execute(candidate, ["--version"])).stdout.startsWith("v20.")) return candidate;
  }
  const name = `node-linux-${process.arch}`;
  const prefix = join(folder, "fetched");
  await execute("npm", ["install", "--no-audit", "--no-fund", "--prefix", prefix, `${name}@20`]);
  return join(prefix, "node_modules", name, "bin/node");
}
