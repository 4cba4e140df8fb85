import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { expect } from "vitest";
import { cliJson, mintKey } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { COUNTED_PRICE, type CountingUpstream, startCountingUpstream } from "./counting-upstream.ts";

/** Use of one budget, in micro-USD. */
export interface BudgetUse {
  readonly spent_micro_usd: number;
  readonly reserved_micro_usd: number;
  readonly leased_micro_usd: number;
  readonly held_back_micro_usd: number;
  readonly remaining_micro_usd: number;
}

/** Differences that `routeplane admin reconcile` finds; each list is empty if everything agrees. */
export interface Differences {
  readonly differences: readonly unknown[];
  readonly charges: readonly unknown[];
  readonly counters: readonly unknown[];
  readonly sessions: readonly unknown[];
}

export const NO_DIFFERENCES: Differences = { differences: [], charges: [], counters: [], sessions: [] };

/** Node with two models, each served by an upstream of its own that counts requests. */
export interface CountedNode {
  readonly node: TestNode;
  /** Upstream of the model `counted`. */
  readonly upstream: CountingUpstream;
  /** Upstream of the model `tight`, for requests whose output bound a limit may lower. */
  readonly tightUpstream: CountingUpstream;
  /** Mints a key with a budget that never resets. */
  budgetedKey(name: string, limitMicroUsd: number): Promise<BudgetedKey>;
  /** Runs the operator's reconciliation until it finds nothing. @returns what it finds in the end */
  reconciled(timeoutMs: number): Promise<Differences>;
  remove(): Promise<void>;
}

export interface BudgetedKey {
  readonly id: string;
  readonly token: string;
  readonly limitMicroUsd: number;
  use(): Promise<BudgetUse>;
}

export interface CountedNodeOptions {
  readonly gateways: number;
  /** Processes of each gateway. 1 by default. */
  readonly processes?: number;
}

export async function startCountedNode({ gateways, processes = 1 }: CountedNodeOptions): Promise<CountedNode> {
  const [upstream, tightUpstream] = await Promise.all([startCountingUpstream(), startCountingUpstream()]);
  const folder = await mkdtemp(join(tmpdir(), "routeplane-counted-"));
  const providers = join(folder, "providers.yaml");
  const provider = (name: string, { baseUrl }: CountingUpstream, model: string): string =>
    `{name: ${name}, protocol: openai, base_url: "${baseUrl}", models: [{id: ${model}, ${COUNTED_PRICE}}]}`;
  const listed = [provider("own", upstream, "counted"), provider("other", tightUpstream, "tight")];
  await writeFile(providers, `providers: [${listed.join(", ")}]`);
  const environment = { ROUTEPLANE_PROVIDERS: providers, ROUTEPLANE_GATEWAY_PROCESSES: `${processes}` };
  const node = await startNode({ gateways, environment });
  return {
    node,
    upstream,
    tightUpstream,
    budgetedKey: (name, limitMicroUsd) => budgetedKey(node, name, limitMicroUsd),
    async reconciled(timeoutMs) {
      const isClean = async () => Object.values((await reconcile(node)).found).every(({ length }) => length === 0);
      await eventually(isClean, timeoutMs).catch(() => {});
      return (await reconcile(node)).found;
    },
    async remove() {
      await node.remove();
      await Promise.all([upstream.close(), tightUpstream.close()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function budgetedKey(node: TestNode, name: string, limitMicroUsd: number): Promise<BudgetedKey> {
  const { id, token } = await mintKey(node, name);
  const limit = ["--window", "total", "--limit-micro-usd", `${limitMicroUsd}`];
  const budget = await cliJson<{ id: string }>(node, "cloud", "budget", "create", "--name", name, ...limit);
  const principal = ["--principal-type", "api_key", "--principal-id", id];
  await cliJson(node, "cloud", "policy", "bind", budget.id, ...principal);
  return {
    id,
    token,
    limitMicroUsd,
    async use() {
      const effective = ["cloud", "policy", "effective", ...principal];
      const { budgets } = await cliJson<{ budgets: readonly BudgetUse[] }>(node, ...effective);
      return budgets[0] ?? expect.fail("the key has no budget");
    },
  };
}

interface Reconciliation {
  readonly differences: readonly unknown[];
  readonly budgets: Omit<Differences, "differences"> & { readonly request_count: number };
}

/** Runs `routeplane admin reconcile`, whose exit code tells if anything differs. */
export async function reconcile(
  node: TestNode,
): Promise<{ readonly found: Differences; readonly requestCount: number }> {
  const { exitCode, stdout, stderr } = await node.cli(["admin", "reconcile", "--json"]);
  if (stdout === "") throw new Error(stderr);
  const { differences, budgets } = JSON.parse(stdout) as Reconciliation;
  const { charges, counters, sessions } = budgets;
  const found = { differences, charges, counters, sessions };
  expect(exitCode).toBe(Object.values(found).every(({ length }) => length === 0) ? 0 : 1);
  return { found, requestCount: budgets.request_count };
}
