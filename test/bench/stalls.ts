import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pool } from "undici";
import { startNode } from "../harness/node.ts";
import { SHAPES } from "./body-shapes.ts";
import { startChild } from "./children.ts";
import { bindGuardrail, mint } from "./guarded-key.ts";
import { load } from "./times.ts";

/**
 * Measures the longest turn of the event loop of a running node's gateway for bodies of 10 MiB of many shapes, in CPU time of its
 * thread and in time. Each shape is sent to an upstream and to `echo`, with a key without a guardrail and with one of 12 content
 * patterns, and then by several callers at once.
 */

const CONCURRENCY = Number(process.env["CONCURRENCY"] ?? 8);
/** Comma-separated names of shapes. All by default. */
const ONLY = process.env["SHAPES"]?.split(",");

interface Stall {
  readonly at: number;
  readonly wallMs: number;
  readonly cpuMs: number;
}

async function main(): Promise<void> {
  const upstream = await startChild("upstream");
  const folder = await mkdtemp(join(tmpdir(), "routeplane-bench-"));
  const stalls = join(folder, "stalls");
  await mkdir(stalls);
  const providers = join(folder, "providers.yaml");
  await writeFile(providers, providersFile(upstream.url));
  const node = await startNode({
    environment: {
      ROUTEPLANE_PROVIDERS: providers,
      ROUTEPLANE_STALLS: stalls,
      NODE_OPTIONS: `--import ${join(import.meta.dirname, "stall-probe.ts")}`,
    },
  });
  try {
    const free = await mint(node, "free");
    const governed = await mint(node, "governed");
    await bindGuardrail(node, governed.id);
    const log = join(stalls, `${(await node.pid("gateway")) ?? 0}`);
    const pool = new Pool(node.url, { connections: CONCURRENCY, headersTimeout: 120_000 });
    const keys = { none: free.token, patterns: governed.token };
    let worst = 0;
    for (const [shape, bodyFor] of Object.entries(SHAPES)) {
      if (ONLY?.includes(shape) === false) continue;
      for (const model of ["tiny", "echo"]) {
        const body = Buffer.from(bodyFor(model));
        for (const [rules, key] of Object.entries(keys)) {
          const alone = await measure(log, () => post(pool, key, body));
          const together = await measure(log, async () => {
            const all = Array.from({ length: CONCURRENCY }, () => post(pool, key, body));
            return (await Promise.all(all)).join(",");
          });
          worst = Math.max(worst, alone.cpuMs, together.cpuMs);
          const [one, many] = [figures(alone), figures(together)];
          process.stdout.write(
            `${shape} | ${model} | ${rules} | ${alone.statuses} | ${one} | ${CONCURRENCY}: ${many}\n`,
          );
        }
      }
    }
    process.stdout.write(`longest turn: ${worst.toFixed(0)} ms of CPU; ${load()}\n`);
    await pool.close();
  } finally {
    await node.remove();
    upstream.child.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

const figures = ({ cpuMs, wallMs }: Pick<Stall, "cpuMs" | "wallMs">): string =>
  `${cpuMs.toFixed(0)} ms CPU, ${wallMs.toFixed(0)} ms`;

async function measure(log: string, work: () => Promise<string>) {
  const from = Date.now();
  const statuses = await work();
  const lines = (await readFile(log, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  const during = lines.map((line) => JSON.parse(line) as Stall).filter(({ at }) => at >= from);
  const longest = (value: (stall: Stall) => number) => Math.max(0, ...during.map(value));
  return { statuses, cpuMs: longest(({ cpuMs }) => cpuMs), wallMs: longest(({ wallMs }) => wallMs) };
}

async function post(pool: Pool, key: string, body: Buffer): Promise<string> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
  const response = await pool.request({ method: "POST", path: "/v1/chat/completions", headers, body });
  await response.body.dump({ limit: 1e9 });
  return String(response.statusCode);
}

function providersFile(url: string): string {
  const price = "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}";
  return `providers:\n  - {name: bench, protocol: openai, base_url: ${url}/v1, models: [{id: tiny, ${price}}]}\n`;
}

await main();
