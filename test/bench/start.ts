import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { CHECKOUT } from "@routeplane/standalone";
import { startNode } from "../harness/node.ts";

/** Measures the seconds from `npm start` until the node is ready, in an empty home and again, and the size of the installation. */

const WARM_STARTS = 3;

async function main(): Promise<void> {
  let node = await startNode();
  print("first start", seconds(node.startMs));
  const warm: number[] = [];
  while (warm.length < WARM_STARTS) {
    await node.stop();
    node = await startNode({ home: node.home, port: node.port });
    warm.push(node.startMs);
  }
  print(`warm start, each of ${WARM_STARTS}`, warm.map(seconds).join("  "));
  await node.remove();
  const { stdout } = await promisify(execFile)("du", ["-sm", join(CHECKOUT, "node_modules")]);
  print("node_modules", `${stdout.split("\t")[0]} MB`);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(1)} s`;
}

function print(name: string, figure: string): void {
  process.stdout.write(`${name.padEnd(28)}${figure}\n`);
}

await main();
