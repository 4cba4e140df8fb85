import { execFile } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CHECKOUT } from "@routeplane/standalone";
import { startNode } from "../harness/node.ts";
import { endedChildrenCpuSeconds, load, median } from "./times.ts";

/**
 * Measures a process of the command line from its start to its end, beside `node -e 0`, all in turns: from the packed package and from the
 * sources of the checkout. Prints the size of the package too. `RUNS` is the number of runs of each, `CLI_NODE` the Node.js that runs them.
 */

const runs = Number(process.env["RUNS"] ?? 21);
const nodeProgram = process.env["CLI_NODE"] ?? process.execPath;
const execute = promisify(execFile);

interface Case {
  readonly name: string;
  readonly argv: readonly string[];
  readonly wallMs: number[];
  cpuSeconds: number;
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "routeplane-bench-cli-"));
  const { archive, bin } = await install(folder);
  const node = await startNode();
  const source = join(CHECKOUT, "packages/cli/bin/routeplane.cjs");
  const cases = [
    ["node -e 0", "-e", "0"],
    ["package, --help", bin, "--help"],
    ["package, cloud status", bin, "cloud", "status"],
    ["checkout, --help", source, "--help"],
    ["checkout, cloud status", source, "cloud", "status"],
  ].map(([name = "", ...argv]): Case => ({ name, argv, wallMs: [], cpuSeconds: 0 }));
  try {
    await measure(cases, { ...process.env, ROUTEPLANE_HOME: node.home });
  } finally {
    await node.stop();
    await node.remove();
    await rm(folder, { recursive: true });
  }
  process.stdout.write(`${nodeProgram}, ${runs} runs, ${load()}\n`);
  for (const { name, wallMs, cpuSeconds } of cases) {
    const wall = `median ${median(wallMs).toFixed(0)} ms, least ${Math.min(...wallMs).toFixed(0)} ms`;
    process.stdout.write(`${name.padEnd(24)}${wall.padEnd(32)}CPU ${((1_000 * cpuSeconds) / runs).toFixed(0)} ms\n`);
  }
  process.stdout.write(`package                 ${(archive / 1_000).toFixed(0)} kB\n`);
}

/** Packs the command line and installs the package. @returns size of the archive in bytes, and the command */
async function install(folder: string): Promise<{ archive: number; bin: string }> {
  const { stdout } = await execute("npm", ["pack", "--silent", "--pack-destination", folder], {
    cwd: join(CHECKOUT, "packages/cli"),
  });
  const archive = join(folder, stdout.trim().split("\n").at(-1) ?? "");
  await execute("npm", ["install", "--offline", "--no-audit", "--no-fund", "--prefix", folder, archive]);
  return { archive: (await stat(archive)).size, bin: join(folder, "node_modules/.bin/routeplane") };
}

async function measure(cases: readonly Case[], env: NodeJS.ProcessEnv): Promise<void> {
  // The first run of each fills the compile cache.
  for (const { argv } of cases) await execute(nodeProgram, [...argv], { env });
  for (let run = 0; run < runs; run++) {
    for (const each of cases) {
      const [startedAt, cpuBefore] = [performance.now(), await endedChildrenCpuSeconds()];
      await execute(nodeProgram, [...each.argv], { env });
      each.wallMs.push(performance.now() - startedAt);
      each.cpuSeconds += (await endedChildrenCpuSeconds()) - cpuBefore;
    }
  }
}

await main();
