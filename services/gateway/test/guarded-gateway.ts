import type { ServerResponse } from "node:http";
import type { GuardrailSpec } from "@routeplane/guardrails";
import { createLogger } from "@routeplane/runtime";
import { createDenialRecorder } from "../src/domain/metering/denial-recorder.ts";
import { createGuards } from "../src/domain/guardrails/guard.ts";
import { createModelDirectory, type Model } from "../src/domain/request/model-directory.ts";
import { createPipeline } from "../src/domain/pipeline.ts";
import { ProviderSet } from "../src/domain/provider-set.ts";
import type { AppliedGuardrail } from "../src/domain/ports/guardrail-directory.ts";
import { createSettlements } from "../src/domain/metering/settlements.ts";
import type { VerifyKey } from "../src/domain/ports/key-verifier.ts";
import type { LoadGate } from "../src/domain/load/load-gate.ts";
import { BodyBudget } from "../src/handlers/body-budget.ts";
import { startHttpServer } from "../src/handlers/http-server.ts";
import { inferenceRoutes } from "../src/handlers/inference.ts";
import { modelsRoutes } from "../src/handlers/models.ts";
import { unknownMethod } from "../src/handlers/management.ts";
import { createRouter, type Route } from "../src/handlers/router.ts";
import { createHttpUpstream } from "../src/upstreams/http-upstream.ts";
import { fakeBudget } from "./fake-admissions.ts";
import { callerWith } from "./fake-verifier.ts";
import { fakeGuardrailDirectory } from "./fake-guardrail-directory.ts";
import { type FakeUsageLog, fakeUsageLog } from "./fake-usage-log.ts";
import { fakeVerification } from "./fake-verifier.ts";
import { type ReceivedRequest, startFakeProvider } from "./fake-provider.ts";
import { fakeTokenCounter } from "./fake-token-counter.ts";

/** Gateway over HTTP with a fake provider, and guardrails that apply to every key. */
export interface GuardedGateway {
  readonly url: string;
  readonly routes: readonly Route[];
  /** Requests that the provider received. */
  readonly received: readonly ReceivedRequest[];
  readonly usage: FakeUsageLog;
  post(path: string, body: object | string): Promise<Answer>;
  stop(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface GuardedGatewayOptions {
  readonly specs: readonly GuardrailSpec[];
  readonly mode?: AppliedGuardrail["mode"];
  readonly answer: (response: ServerResponse, received: ReceivedRequest) => void | Promise<void>;
  /** A new key in a new namespace for each request by default. */
  readonly verifyKey?: VerifyKey;
  readonly loadGate?: LoadGate;
}

const PRICE = { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n };
const model = (provider: string, id: string): Model => ({
  provider,
  id,
  prices: [{ aboveInputTokens: 0, price: PRICE }],
  priceVersion: "file:1",
  outputField: "max_tokens",
});

export async function startGuardedGateway(options: GuardedGatewayOptions): Promise<GuardedGateway> {
  const provider = await startFakeProvider(options.answer);
  const upstream = createHttpUpstream({ baseUrl: new URL(provider.baseUrl), apiKey: undefined });
  const log = createLogger("gateway", (line) => line, "silent");
  const [admissions, usage] = [fakeBudget(1_000_000_000_000n), fakeUsageLog()];
  const settlements = createSettlements({ admissions, usageLog: usage, log });
  const directory = createModelDirectory([
    model("vendor", "gpt-4o"),
    model("vendor", "gpt-mini"),
    model("other", "gpt-4o"),
  ]);
  const guardOf = createGuards(fakeGuardrailDirectory(options.specs, options.mode));
  const { verifyKey = async () => callerWith(["inference:*"]) } = options;
  const upstreams = new Map([
    ["vendor", upstream],
    ["other", upstream],
  ]);
  const providers = { current: new ProviderSet(directory, upstreams, new Date()) };
  const denialRecorder = createDenialRecorder({ usageLog: usage, settlements, log, clock: Date.now });
  const ports = {
    admissions,
    usageLog: usage,
    settlements,
    denialRecorder,
    tokenCounter: fakeTokenCounter(),
    providers,
    log,
    clock: Date.now,
  };
  const serve = createPipeline({ subscribeToKey: fakeVerification(verifyKey), guardOf, ...ports });
  const routes = [
    ...inferenceRoutes({ serve, maxRequestBytes: 50_000_000 }),
    ...modelsRoutes({ verifyKey, guardOf, providers }),
  ];
  const router = createRouter({
    routes,
    unknownMethod,
    bodies: new BodyBudget(1 << 30),
    ...(options.loadGate && { loadGate: options.loadGate }),
    redact: (text) => text,
    log,
    clock: Date.now,
  });
  const server = await startHttpServer({ host: "127.0.0.1", port: 0, ...router });
  const url = `http://127.0.0.1:${server.port}`;
  return {
    url,
    routes,
    received: provider.requests,
    usage,
    async post(path, body) {
      const headers = { "content-type": "application/json", authorization: "Bearer rp_x" };
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const response = await fetch(url + path, { method: "POST", headers, body: text });
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
    async stop() {
      await server.stop();
      await settlements.stop();
      await upstream.close();
      await provider.close();
    },
  };
}

/** Parses the data of the events of a stream. */
export function chunksOf(text: string): readonly Chunk[] {
  return text
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"))
    .map((event) => JSON.parse(event.slice("data: ".length)) as Chunk);
}

export interface Chunk {
  readonly id?: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: Readonly<Record<string, unknown>>;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: object | null;
  readonly error?: Readonly<Record<string, unknown>>;
}
