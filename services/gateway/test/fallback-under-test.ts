import type { GuardrailSpec } from "@routeplane/guardrails";
import type { Upstream } from "../src/domain/ports/upstream.ts";
import { createModelDirectory, type Model } from "../src/domain/request/model-directory.ts";
import { CHAT } from "../src/domain/wires/chat/chat-wire.ts";
import type { Wire } from "../src/domain/wires/wire.ts";
import { createHttpUpstream } from "../src/upstreams/http-upstream.ts";
import { type FakeAdmissions, fakeBudget } from "./fake-admissions.ts";
import { fakeGuardrailDirectory } from "./fake-guardrail-directory.ts";
import { type Answer, type FakeProvider, sendJson, startFakeProvider } from "./fake-provider.ts";
import { MICRO, type PipelineUnderTest, pipelineUnderTest } from "./pipeline-under-test.ts";

/** Pipeline with providers that are servers on this machine. */
export interface FallbackUnderTest extends PipelineUnderTest, AsyncDisposable {
  /** Number of calls of each provider, by its name. */
  readonly calls: () => Readonly<Record<string, number>>;
  readonly providers: ReadonlyMap<string, FakeProvider>;
}

export interface FallbackUnderTestOptions {
  readonly budget?: FakeAdmissions;
  readonly guardrails?: readonly GuardrailSpec[];
  readonly headMs?: number;
  /** Wire of the route; chat completions by default. */
  readonly wire?: Wire;
}

/** A model at `provider`, at 1 micro-USD for an input token and 2 for an output token, times `factor`. */
export function modelAt(provider: string, id: string, more: Partial<Model> = {}, factor = 1n): Model {
  const price = { inputPicoUsd: factor * 1_000_000n, outputPicoUsd: factor * 2_000_000n };
  const prices = [{ aboveInputTokens: 0, price }] as const;
  return { provider, id, prices, priceVersion: `file:${provider}`, outputField: "max_tokens", ...more };
}

export const USAGE = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };

/** Answer of a provider that works. */
export const working: Answer = (response) => {
  const message = { role: "assistant", content: "hello" };
  sendJson(response, 200, { choices: [{ index: 0, message, finish_reason: "stop" }], usage: USAGE });
};

/** Answer of a provider that fails with this status. */
export function failing(status: number, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ error: { message: "no", type: "server_error" } }));
  };
}

/** @param answers answer of each provider, by its name; `down` for one that does not listen */
export async function fallbackUnderTest(
  models: readonly Model[],
  answers: Readonly<Record<string, Answer | "down">>,
  { budget = fakeBudget(1_000_000n * MICRO), guardrails = [], headMs, wire = CHAT }: FallbackUnderTestOptions = {},
): Promise<FallbackUnderTest> {
  const providers = new Map<string, FakeProvider>();
  const upstreams = new Map<string, Upstream>();
  for (const [name, answer] of Object.entries(answers)) {
    const provider = await startFakeProvider(answer === "down" ? working : answer);
    if (answer === "down") await provider.close();
    else providers.set(name, provider);
    const call = { headers: {}, query: "", timeouts: { headMs } };
    upstreams.set(name, createHttpUpstream({ baseUrl: new URL(provider.baseUrl), apiKey: undefined, call }));
  }
  const pipeline = pipelineUnderTest({
    budget,
    wire,
    guardrails: fakeGuardrailDirectory(guardrails),
    overrides: { directory: createModelDirectory(models), upstreams },
  });
  return {
    ...pipeline,
    providers,
    calls: () => Object.fromEntries(Array.from(providers, ([name, { requests }]) => [name, requests.length])),
    async [Symbol.asyncDispose]() {
      await Promise.all([...upstreams.values()].map((upstream) => upstream.close()));
      await Promise.all([...providers.values()].map((provider) => provider.close()));
    },
  };
}
