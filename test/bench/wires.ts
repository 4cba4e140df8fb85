import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNode } from "../harness/node.ts";
import { startChild } from "./children.ts";
import { cpuByRole } from "./cost/node-figures.ts";
import { everythingOn } from "./everything-on.ts";
import { runLoad } from "./load.ts";
import { load } from "./times.ts";

/**
 * Measures the CPU time that a request costs a gateway on each route, with everything on: answers that are passed on, whole and as streams of
 * 40 words, and streams that are translated. The cases take turns, so that a machine that slows down slows all; medians are printed. CASES
 * lists the kinds to measure, separated by commas: whole, passed, translated (compared with passed ones). All by default.
 */

const SECONDS = Number(process.env["SECONDS"] ?? 4);
const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const WARM_UP_SECONDS = Number(process.env["WARM_UP_SECONDS"] ?? 8);
const CONCURRENCY = 32;

type ClientWire = "chat" | "responses" | "messages" | "embeddings";

const PATHS: Readonly<Record<ClientWire, string>> = {
  chat: "/v1/chat/completions",
  responses: "/v1/responses",
  messages: "/v1/messages",
  embeddings: "/v1/embeddings",
};
const TEXT = "Say hello.";
const CHAT_BODY = { max_tokens: 500, messages: [{ role: "user", content: TEXT }] };
const BODIES: Readonly<Record<ClientWire, object>> = {
  chat: CHAT_BODY,
  responses: { max_output_tokens: 500, input: TEXT },
  messages: CHAT_BODY,
  embeddings: { input: TEXT },
};

interface Case {
  readonly client: ClientWire;
  /** Wire of the upstream, and name of the model. */
  readonly upstream: ClientWire;
  readonly streamed: boolean;
}

const WIRES = ["chat", "responses", "messages"] as const;
const STREAMS = WIRES.flatMap((client) => WIRES.map((upstream) => ({ client, upstream, streamed: true })));
const isPassed = ({ client, upstream }: Case): boolean => client === upstream;
const KINDS = {
  whole: [...WIRES, "embeddings" as const].map((wire) => ({ client: wire, upstream: wire, streamed: false })),
  passed: STREAMS.filter(isPassed),
  translated: STREAMS.filter((each) => !isPassed(each)),
};
const { CASES: kinds = "whole,passed,translated" } = process.env;
const CASES: readonly Case[] = Object.entries(KINDS).flatMap(([kind, cases]) =>
  kinds.split(",").includes(kind) ? cases : [],
);

/** Providers file: a model for each wire of an upstream, at `whole/…` and `stream/…`. */
function providersOf(upstreamUrl: string): string {
  const provider = (kind: string, prefix: string) => (wire: ClientWire) =>
    `  - name: ${kind}-${wire}
    protocol: ${wire === "messages" ? "anthropic" : "openai"}
    base_url: ${upstreamUrl}${prefix}/v1
    ${wire === "messages" ? "" : `wires: [${wire}]`}
    models: [{id: ${wire}, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}]
`;
  const names = ["chat", "responses", "messages", "embeddings"] as const;
  return `providers:\n${[...names.map(provider("whole", "")), ...names.map(provider("stream", "/stream"))].join("")}`;
}

async function main(): Promise<void> {
  const upstream = await startChild("upstream");
  const folder = await mkdtemp(join(tmpdir(), "routeplane-bench-"));
  const file = join(folder, "providers.yaml");
  await writeFile(file, providersOf(upstream.url));
  const node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: file } });
  try {
    const token = await everythingOn(node, "wires");
    const run = async ({ client, upstream: wire, streamed }: Case, seconds: number): Promise<number> => {
      const model = `${streamed ? "stream" : "whole"}-${wire}/${wire}`;
      const body = JSON.stringify({ model, ...BODIES[client], ...(streamed && { stream: true }) });
      const before = await cpuByRole(node, []);
      const { answers, failed } = await runLoad({
        url: `${node.url}${PATHS[client]}`,
        key: token,
        model,
        body,
        concurrency: CONCURRENCY,
        durationMs: seconds * 1_000,
      });
      if (failed > 0) throw new Error(`${failed} of ${answers} requests of ${client} to ${wire} failed`);
      const after = await cpuByRole(node, []);
      return ((after.gateway - before.gateway) * 1_000) / answers;
    };
    process.stdout.write(`${ROUNDS} rounds of ${SECONDS} s, ${CONCURRENCY} concurrent requests, ${load()}\n`);
    for (const each of CASES) await run(each, WARM_UP_SECONDS);
    const measured = new Map<Case, number[]>(CASES.map((each) => [each, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [each, figures] of measured) figures.push(await run(each, SECONDS));
    }
    print(measured);
  } finally {
    await node.remove();
    upstream.child.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Prints each case beside the case of its kind for chat, and a translated stream also beside the passed-on stream of its client's wire. */
function print(measured: ReadonlyMap<Case, readonly number[]>): void {
  const figureOf = (client: ClientWire, upstream: ClientWire, streamed: boolean): readonly number[] =>
    [...measured].find(
      ([each]) => each.client === client && each.upstream === upstream && each.streamed === streamed,
    )?.[1] ?? [];
  for (const [{ client, upstream, streamed }, figures] of measured) {
    const ratioTo = (wire: ClientWire): string => {
      const base = figureOf(wire, wire, streamed);
      return median(figures.map((figure, round) => figure / (base[round] ?? figure))).toFixed(2);
    };
    const kind = streamed ? "stream" : "whole";
    const beside =
      client === upstream
        ? `${ratioTo("chat")} of chat`
        : `${ratioTo(client)} of ${client}, ${ratioTo(upstream)} of ${upstream}`;
    process.stdout.write(`${kind} ${client} by ${upstream}: ${median(figures).toFixed(3)} ms, ${beside}\n`);
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}

await main();
