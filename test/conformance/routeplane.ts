import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNode, type TestNode } from "../harness/index.ts";
import type { UpstreamWire } from "./upstream/received.ts";
import { USAGE } from "./upstream/turn.ts";
import { UPSTREAM_KEY } from "./upstream/wire-server.ts";

/** Node whose models are those of the scripted upstream, one for each wire. */
export interface Routeplane {
  readonly node: TestNode;
  readonly apiKey: string;
  stop(): Promise<void>;
}

/** Models of the node, by the wire that their upstream speaks. */
export const MODELS: Readonly<Record<UpstreamWire, string>> = {
  chat: "scripted-chat",
  responses: "scripted-responses",
  messages: "scripted-messages",
};

export const EMBEDDING_MODEL = "scripted-embedding";

/** Dollars for a million tokens of each kind. */
const RATES = { input: 3, cached_input: 1, cache_write: 4, output: 5 };

/** Cost of a turn of the scripted upstream. */
export const COST_MICRO_USD =
  (USAGE.prompt - USAGE.cached - USAGE.cacheWrite) * RATES.input +
  USAGE.cached * RATES.cached_input +
  USAGE.cacheWrite * RATES.cache_write +
  USAGE.output * RATES.output;

const PRICE = `price: {${Object.entries(RATES)
  .map(([kind, rate]) => `${kind}_usd_per_mtok: ${rate}`)
  .join(", ")}}`;

export async function startRouteplane(upstreamUrl: string): Promise<Routeplane> {
  const folder = await mkdtemp(join(tmpdir(), "routeplane-conformance-"));
  const providers = join(folder, "providers.yaml");
  await writeFile(providers, providersFile(upstreamUrl));
  const environment = { ROUTEPLANE_PROVIDERS: providers, SCRIPTED_KEY: UPSTREAM_KEY };
  const node = await startNode({ environment });
  return {
    node,
    apiKey: await node.apiKey(),
    async stop() {
      await node.remove();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function providersFile(url: string): string {
  const model = (id: string, wire: string): string => `      - {id: ${id}, wires: [${wire}], ${PRICE}}`;
  return [
    "providers:",
    "  - name: scripted-openai",
    "    protocol: openai",
    `    base_url: ${url}/v1`,
    "    api_key_env: SCRIPTED_KEY",
    "    models:",
    model(MODELS.chat, "chat"),
    model(MODELS.responses, "responses"),
    model(EMBEDDING_MODEL, "embeddings"),
    "  - name: scripted-anthropic",
    "    protocol: anthropic",
    `    base_url: ${url}/v1`,
    "    api_key_env: SCRIPTED_KEY",
    "    models:",
    model(MODELS.messages, "messages"),
  ].join("\n");
}
