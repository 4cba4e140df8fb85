import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNode, type TestNode } from "../harness/index.ts";
import type { UpstreamWire } from "./upstream/received.ts";
import { UPSTREAM_KEY } from "./upstream/scripted-upstream.ts";

/** Node whose models are those of the scripted upstream, one for each wire. */
export interface Routeplane {
  readonly node: TestNode;
  readonly apiKey: string;
  stop(): Promise<void>;
}

/** Models of the node, by the wire that their upstream speaks. */
export const MODELS: Readonly<Partial<Record<UpstreamWire, string>>> = { chat: "scripted-chat" };

/** Wires of clients that the node serves. */
export const ROUTES: readonly UpstreamWire[] = ["chat"];

const PRICE =
  "price: {input_usd_per_mtok: 3, cached_input_usd_per_mtok: 1, cache_write_usd_per_mtok: 4, output_usd_per_mtok: 5}";

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
  return [
    "providers:",
    "  - name: scripted-openai",
    "    protocol: openai",
    `    base_url: ${url}/v1`,
    "    api_key_env: SCRIPTED_KEY",
    "    models:",
    `      - {id: ${MODELS.chat}, ${PRICE}}`,
  ].join("\n");
}
