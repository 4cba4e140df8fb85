import { DomainError, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { createDenials } from "../src/domain/metering/denial-recorder.ts";
import { createGuards } from "../src/domain/guardrails/guard.ts";
import { createModelDirectory, type Model } from "../src/domain/request/model-directory.ts";
import { createPipeline, type PipelineDependencies } from "../src/domain/pipeline.ts";
import type { FollowKey, GuardrailDirectory, VerifyKey } from "../src/domain/ports.ts";
import {
  type Upstream,
  type UpstreamAnswer,
  UpstreamFault,
  type UpstreamFaultKind,
} from "../src/domain/ports/upstream.ts";
import type { Refusal } from "../src/domain/errors/refusal.ts";
import { createSettlements } from "../src/domain/metering/settlements.ts";
import { createEchoUpstream } from "../src/upstreams/echo-upstream.ts";
import {
  type BudgetInMemory,
  budgetInMemory,
  callerWith,
  guardrailsInMemory,
  usageInMemory,
} from "./in-memory-ports.ts";
import { type RecordingReply, recordingReply } from "./recording-reply.ts";
import { boundTokens } from "../src/domain/request/token-bounds.ts";

/** The pipeline around an upstream, a budget and a usage log that a test can look into. */
export const MICRO = 1_000n;
const MODEL: Model = {
  provider: "echo",
  id: "echo",
  prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n } }],
  priceVersion: "file:1",
  outputField: "max_tokens",
};
export const BODY = { model: "echo", max_tokens: 3, messages: [{ role: "user", content: "one two three" }] };
/** What BODY reserves: its bytes and the allowance for templates, and 3 output tokens at double the price. */
export const reservationOf = (body: object): bigint => BigInt(JSON.stringify(body).length + 128 + 6) * MICRO;

export interface World {
  readonly budget: BudgetInMemory;
  readonly usage: ReturnType<typeof usageInMemory>;
  readonly sent: string[];
  readonly serve: (
    body: object | string,
    reply?: RecordingReply,
  ) => Promise<{ readonly reply: RecordingReply; readonly refusal?: Refusal }>;
}

interface WorldOptions {
  readonly upstream?: Upstream;
  readonly budget?: BudgetInMemory;
  readonly usage?: ReturnType<typeof usageInMemory>;
  readonly guardrails?: GuardrailDirectory;
  readonly overrides?: Partial<PipelineDependencies>;
}

export function world(options: WorldOptions = {}): World {
  const { upstream = createEchoUpstream(Date.now), overrides = {} } = options;
  const budget = options.budget ?? budgetInMemory(1_000_000_000n);
  const usage = options.usage ?? usageInMemory();
  const log = createLogger("gateway", (line) => line, "silent");
  const sent: string[] = [];
  const watched: Upstream = {
    ...upstream,
    // As of an upstream that counts in a way of its own.
    boundTokens,
    chatCompletion(request) {
      sent.push(typeof request.body === "string" ? request.body : Buffer.from(request.body).toString());
      return upstream.chatCompletion(request);
    },
  };
  const settlements = createSettlements({ admissions: budget, usageLog: usage, log });
  const { clock = Date.now } = overrides;
  const denials = createDenials({ usageLog: usage, settlements, log, clock, ...overrides });
  const serve = createPipeline({
    followKey: following(async () => callerWith(["inference:*"])),
    directory: createModelDirectory([MODEL]),
    guardOf: createGuards(options.guardrails ?? guardrailsInMemory([])),
    admissions: budget,
    usageLog: usage,
    settlements,
    denials,
    upstreams: new Map([["echo", watched]]),
    log,
    clock: Date.now,
    ...overrides,
  });
  return {
    budget,
    usage,
    sent,
    async serve(body, reply = recordingReply()) {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const call = {
        requestId: newId("req"),
        receivedAt: new Date(),
        endpoint: "/v1/chat/completions",
        credential: { authorization: "Bearer rp_x", apiKey: undefined },
        idempotencyKey: undefined,
        readBody: async () => Buffer.from(text),
        reply,
      };
      const refusal = await serve(call).then(
        () => undefined,
        (error: Refusal) => error,
      );
      await settlements.stop();
      return refusal === undefined ? { reply } : { reply, refusal };
    },
  };
}

/** Keys of which nothing becomes. */
export function following(verifyKey: VerifyKey): FollowKey {
  return async (token) => ({ principal: await verifyKey(token), release() {} });
}

/** An upstream that answers with these chunks, and then with `fault` if there is one. */
export function answering(
  contentType: string,
  chunks: readonly string[],
  more: Partial<UpstreamAnswer> = {},
): Upstream {
  async function* body(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  const answer = { status: 200, contentType, retryAfter: undefined, body: body(), discard() {}, ...more };
  return { boundTokens, chatCompletion: async () => answer, async close() {} };
}

/** An upstream that fails before the head of an answer. */
export function failing(kind: UpstreamFaultKind): Upstream {
  return { boundTokens, chatCompletion: () => Promise.reject(new UpstreamFault(kind, "no")), async close() {} };
}

export async function* breakingAfter(chunk: string, kind: UpstreamFaultKind = "broken"): AsyncGenerator<Uint8Array> {
  yield Buffer.from(chunk);
  throw new UpstreamFault(kind, "connection reset");
}

export const down = (dependency: string): DomainError =>
  new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "down", { metadata: { dependency } });
