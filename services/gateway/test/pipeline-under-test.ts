import { newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { createDenialRecorder } from "../src/domain/metering/denial-recorder.ts";
import { createGuards } from "../src/domain/guardrails/guard.ts";
import { createModelDirectory, type Model } from "../src/domain/request/model-directory.ts";
import { createPipeline, type PipelineDependencies } from "../src/domain/pipeline.ts";
import { ProviderSet } from "../src/domain/provider-set.ts";
import type { GuardrailDirectory } from "../src/domain/ports/guardrail-directory.ts";
import type { Upstream } from "../src/domain/ports/upstream.ts";
import type { Refusal } from "../src/domain/errors/refusal.ts";
import { CHAT } from "../src/domain/wires/chat/chat-wire.ts";
import type { WireName } from "../src/domain/wires/wire-name.ts";
import type { Wire } from "../src/domain/wires/wire.ts";
import { createSettlements } from "../src/domain/metering/settlements.ts";
import { createEchoUpstream } from "../src/upstreams/echo-upstream.ts";
import { type FakeAdmissions, fakeBudget } from "./fake-admissions.ts";
import { callerWith, fakeVerification } from "./fake-verifier.ts";
import { fakeGuardrailDirectory } from "./fake-guardrail-directory.ts";
import { fakeUsageLog } from "./fake-usage-log.ts";
import { type FakeReply, fakeReply } from "./fake-reply.ts";
import { boundTokens } from "../src/domain/request/token-bounds.ts";
import { boundTexts } from "../src/domain/tokens/text-bound.ts";
import { fakeTokenCounter } from "./fake-token-counter.ts";

/** One for all pipelines of a file: a logger costs more CPU time than the rest of a pipeline. */
const log = createLogger("gateway", (line) => line, "silent");

/** Nano-USD of a micro-USD. */
export const MICRO = 1_000n;
const MODEL: Model = {
  provider: "echo",
  id: "echo",
  prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n } }],
  priceVersion: "file:1",
  outputField: "max_tokens",
};
export const BODY = { model: "echo", max_tokens: 3, messages: [{ role: "user", content: "one two three" }] };
/** Reservation of a body like `BODY`: its texts, 138 tokens for templates, and 3 output tokens at double the price. */
export function reservationOf(body: object): bigint {
  const { messages } = { ...BODY, ...body };
  return BigInt(boundTexts(messages.map(({ content }) => content)) + 138 + 6) * MICRO;
}

/** Pipeline over fakes of its ports. */
export interface PipelineUnderTest {
  readonly budget: FakeAdmissions;
  readonly usage: ReturnType<typeof fakeUsageLog>;
  readonly sent: string[];
  readonly serve: (
    body: object | string,
    reply?: FakeReply,
  ) => Promise<{ readonly reply: FakeReply; readonly refusal?: Refusal }>;
}

export interface PipelineUnderTestOptions {
  readonly upstream?: Upstream;
  readonly budget?: FakeAdmissions;
  readonly usage?: ReturnType<typeof fakeUsageLog>;
  readonly guardrails?: GuardrailDirectory;
  /** Wire of the route; chat completions by default. */
  readonly wire?: Wire;
  /** Wires that the upstream speaks; the wire of the route by default. */
  readonly wires?: ReadonlySet<WireName>;
  /** Members of the model to replace, e.g. its prices. */
  readonly model?: Partial<Model>;
  /** Headers of the client that an upstream of the same wire gets. */
  readonly forwardedHeaders?: Readonly<Record<string, string>>;
  readonly overrides?: Partial<PipelineDependencies & Pick<ProviderSet, "directory" | "upstreams">>;
}

export function pipelineUnderTest(options: PipelineUnderTestOptions = {}): PipelineUnderTest {
  const { upstream = createEchoUpstream(Date.now), wire = CHAT, overrides = {} } = options;
  const budget = options.budget ?? fakeBudget(1_000_000_000n);
  const usage = options.usage ?? fakeUsageLog();
  const sent: string[] = [];
  const recordingUpstream: Upstream = {
    ...upstream,
    // Bounds by bytes, as for any other upstream, in place of the exact count of echo.
    boundTokens,
    send(request) {
      const { body } = request;
      if (typeof body === "string") sent.push(body);
      else sent.push(Buffer.concat(body instanceof Uint8Array ? [body] : body).toString());
      return upstream.send(request);
    },
  };
  const settlements = createSettlements({ admissions: budget, usageLog: usage, log });
  const { clock = Date.now } = overrides;
  const denialRecorder = createDenialRecorder({ usageLog: usage, settlements, log, clock, ...overrides });
  const {
    directory = createModelDirectory([{ ...MODEL, wires: options.wires ?? new Set([wire.name]), ...options.model }]),
    upstreams = new Map([["echo", recordingUpstream]]),
  } = overrides;
  const serve = createPipeline({
    subscribeToKey: fakeVerification(async () => callerWith(["inference:*"])),
    providers: { current: new ProviderSet(directory, upstreams, new Date()) },
    guardOf: createGuards(options.guardrails ?? fakeGuardrailDirectory([])),
    admissions: budget,
    usageLog: usage,
    settlements,
    denialRecorder,
    tokenCounter: fakeTokenCounter(),
    log,
    clock: Date.now,
    ...overrides,
  });
  return {
    budget,
    usage,
    sent,
    async serve(body, reply = fakeReply()) {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const call = {
        requestId: newId("req"),
        createdAt: new Date(),
        endpoint: "/v1/chat/completions",
        wire,
        forwardedHeaders: options.forwardedHeaders,
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
