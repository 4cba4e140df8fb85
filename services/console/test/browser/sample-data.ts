import { chatBody } from "../../../../test/harness/gateway.ts";
import type { TestNode } from "../../../../test/harness/node.ts";
import { fillRequests } from "../../../../test/harness/request-rows.ts";
import { type Cli, cliAs, cliOf } from "../../../../test/e2e/json-cli.ts";

/** Name of a key as an attacker would choose it: markup, and a mark that turns the direction of what follows. */
export const HOSTILE_NAME = "<img src=x onerror=alert(1)>\u202e<b>";
/** Longest name of a model that the log holds. */
export const LONG_MODEL = "very-long-name-".repeat(60);

const SCOPES = "inference:invoke keys:read keys:write policy:read usage:read";

/** Ids and tokens of what `fillNode` made. */
export interface SampleData {
  readonly namespaceId: string;
  readonly agent: MintedKey;
  /** Sub-key of `agent`. */
  readonly worker: MintedKey;
  /** Key with `HOSTILE_NAME`. */
  readonly hostile: MintedKey;
  readonly budgetId: string;
  readonly guardrailId: string;
}

export interface MintedKey {
  readonly id: string;
  readonly token: string;
}

/**
 * Fills the namespace of a node as a team does in a month: a tree of keys, policies of every kind, a log of 30 days with models of
 * several providers, and requests of today through the gateway, of which a guardrail refused one.
 */
export async function fillNode(
  node: TestNode,
  { keyName = HOSTILE_NAME, modelName = LONG_MODEL }: Partial<Record<"keyName" | "modelName", string>> = {},
): Promise<SampleData> {
  const cli = cliOf(node);
  const { namespace } = await cli.json<{ namespace: { id: string } }>("cloud", "whoami");
  const mint = (as: Cli, name: string, ...more: string[]): Promise<MintedKey> =>
    as.json("cloud", "keys", "mint", "--name", name, "--scope", SCOPES, ...more);
  const agent = await mint(cli, "checkout-agent");
  const hostile = await mint(cli, keyName, "--limit-usd", "1", "--window", "month");
  const worker = await mint(cliAs(node, agent.token), "checkout-worker");
  const create = async (name: string, kind: string, spec: object): Promise<string> => {
    const text = JSON.stringify(spec);
    const args = ["cloud", "policy", "create", "--name", name, "--kind", kind, "--spec", "-", "--json"];
    const { stdout, stderr } = await node.cli(args, { input: text });
    if (stdout === "") throw new Error(stderr);
    return (JSON.parse(stdout) as { id: string }).id;
  };
  const budgetId = await create("team-month", "budget", { window: "month", limit_micro_usd: 50_000_000 });
  const guardrailId = await create("no-secrets", "guardrail", {
    content_patterns: [{ name: "aws_key", pattern: "AKIA[0-9A-Z]{16}", action: "block", applies_to: "both" }],
  });
  const bursts = await create("bursts", "rate_limit", { window_secs: 60, max_requests: 300 });
  for (const policy of [budgetId, guardrailId, bursts]) {
    const principal = ["--principal-type", "namespace", "--principal-id", namespace.id];
    await cli.json("cloud", "policy", "bind", policy, ...principal);
  }
  await fillRequests(node, {
    namespaceId: namespace.id,
    rows: 600,
    fromMs: Date.now() - 29 * DAY_MS,
    toMs: Date.now() - HOUR_MS,
    keyIds: [agent.id, worker.id, hostile.id],
    models: [...MODELS, modelName],
  });
  for (const { token } of [agent, worker, hostile]) await ask(node, token, "How many people live in Lisbon?");
  await ask(node, agent.token, "My key is AKIAABCDEFGHIJKLMNOP");
  return { namespaceId: namespace.id, agent, worker, hostile, budgetId, guardrailId };
}

/** Sends one request for a chat completion. @returns its id */
export async function ask(node: Pick<TestNode, "url">, token: string, content: string): Promise<string> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(chatBody(content)),
  });
  await response.arrayBuffer();
  return response.headers.get("x-request-id") ?? "";
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MODELS = ["gpt-5-mini", "claude-sonnet-5", "gemini-3-flash"];
