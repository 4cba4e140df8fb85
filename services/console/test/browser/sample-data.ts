import { chatBody } from "../../../../test/harness/gateway.ts";
import { fillRequests } from "../../../../test/harness/request-rows.ts";
import { type Cli, cliAs } from "../../../../test/e2e/json-cli.ts";
import type { ConsoleNode, TestNamespace } from "./console-node.ts";

/** Name of a key as an attacker would choose it: markup, and a character that reverses the direction of the following text. */
export const HOSTILE_NAME = "<img src=x onerror=alert(1)>\u202e<b>";
/** Longest name of a model that the log can store. */
export const LONG_MODEL = "very-long-name-".repeat(60);

const SCOPES = "inference:invoke keys:read keys:write policy:read usage:read";

/** Time for `fillNamespace` on busy cores, including the calls of other files before it. */
export const FILL_MS = 700_000;

/** Ids and tokens of the resources that `fillNamespace` made. */
export interface SampleData {
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
 * Fills a new namespace like a team's after a month: a tree of keys, policies of every kind, a log of 30 days with models of several
 * providers, and requests of today through the gateway, one of them refused by a guardrail.
 */
export async function fillNamespace(
  node: ConsoleNode,
  { id: namespaceId, token }: TestNamespace,
  { keyName = HOSTILE_NAME, modelName = LONG_MODEL }: Partial<Record<"keyName" | "modelName", string>> = {},
): Promise<SampleData> {
  const cli = cliAs(node, token);
  const mint = (as: Cli, name: string, ...more: string[]): Promise<MintedKey> =>
    as.json("cloud", "keys", "mint", "--name", name, "--scope", SCOPES, ...more);
  const agent = await mint(cli, "checkout-agent");
  const hostile = await mint(cli, keyName, "--limit-usd", "1", "--window", "month");
  const worker = await mint(cliAs(node, agent.token), "checkout-worker");
  const create = async (name: string, kind: string, spec: object): Promise<string> => {
    const args = ["cloud", "policy", "create", "--name", name, "--kind", kind, "--spec", "-"];
    return (await jsonOf<{ id: string }>(node, token, args, JSON.stringify(spec))).id;
  };
  const budgetId = await create("team-month", "budget", { window: "month", limit_micro_usd: 50_000_000 });
  const guardrailId = await create("no-secrets", "guardrail", {
    content_patterns: [{ name: "aws_key", pattern: "AKIA[0-9A-Z]{16}", action: "block", applies_to: "both" }],
  });
  const bursts = await create("bursts", "rate_limit", { window_secs: 60, max_requests: 300 });
  for (const policy of [budgetId, guardrailId, bursts]) {
    const principal = ["--principal-type", "namespace", "--principal-id", namespaceId];
    await cli.json("cloud", "policy", "bind", policy, ...principal);
  }
  await fillRequests(node, {
    namespaceId,
    rows: 600,
    fromMs: Date.now() - 29 * DAY_MS,
    toMs: Date.now() - HOUR_MS,
    keyIds: [agent.id, worker.id, hostile.id],
    models: [...MODELS, modelName],
  });
  for (const key of [agent, worker, hostile]) await ask(node, key.token, "How many people live in Lisbon?");
  await ask(node, agent.token, "My key is AKIAABCDEFGHIJKLMNOP");
  return { agent, worker, hostile, budgetId, guardrailId };
}

/** Runs a command with a token, and a text on stdin. @returns its output with --json @throws Error if it prints nothing */
export async function jsonOf<Answer>(
  node: ConsoleNode,
  token: string,
  args: readonly string[],
  input = "",
): Promise<Answer> {
  const environment = { ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: token };
  const { stdout, stderr } = await node.cli([...args, "--json"], { environment, input });
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout) as Answer;
}

/** Sends one request for a chat completion. @returns its id */
export async function ask(node: Pick<ConsoleNode, "url">, token: string, content: string): Promise<string> {
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
