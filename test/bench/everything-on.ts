import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newNamespace } from "../harness/policies.ts";
import { startNode, type StartOptions, type TestNode } from "../harness/node.ts";
import { EVERYDAY_PATTERNS } from "./everyday-patterns.ts";

/** Limits that are never reached. */
const BUDGET = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "1000000000000" } };
const RATE_LIMIT = { rateLimit: { windowSecs: "60", maxRequests: "100000000", maxTokens: "100000000000" } };
const GUARDRAIL = {
  guardrail: {
    contentPatterns: EVERYDAY_PATTERNS.map((pattern, index) => ({
      name: `pattern ${index}`,
      pattern,
      action: "PATTERN_ACTION_REDACT",
      appliesTo: "PATTERN_SCOPE_BOTH",
    })),
  },
};

/**
 * Creates a key for which everything is on: a lineage of three keys, a budget of its namespace and one of its parent, a rate limit
 * of requests and tokens, and a guardrail with twelve patterns. @returns its token
 */
export async function everythingOn(node: TestNode, namespace: string): Promise<string> {
  const keys = await newNamespace(node, namespace);
  const parent = await keys.mint(keys.root.token, "parent");
  const child = await keys.mint(parent.token, "child");
  await keys.bind(BUDGET);
  await keys.bind(BUDGET, parent.id);
  await keys.bind(RATE_LIMIT, keys.root.id);
  await keys.bind(GUARDRAIL, child.id);
  return child.token;
}

/** Starts a node with providers at an upstream of `servers.ts`: model `tiny` answers at once, `late` after 200 ms, `streamed` with 40 words. */
export async function startNodeWithUpstream(upstream: string, options: StartOptions = {}): Promise<TestNode> {
  const folder = await mkdtemp(join(tmpdir(), "routeplane-bench-"));
  const file = join(folder, "providers.yaml");
  const provider = (name: string, url: string): string => `  - name: ${name}
    protocol: openai
    base_url: ${url}
    models:
      - {id: ${name}, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
`;
  const paths = { tiny: "", late: "/late", streamed: "/stream" };
  const yaml = `providers:\n${Object.entries(paths)
    .map(([name, path]) => provider(name, `${upstream}${path}/v1`))
    .join("")}`;
  await writeFile(file, yaml);
  try {
    return await startNode({ ...options, environment: { ...options.environment, ROUTEPLANE_PROVIDERS: file } });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
