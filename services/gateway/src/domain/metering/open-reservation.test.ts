import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { Fault, faulty } from "../../../test/faulty.ts";
import { callerWith } from "../../../test/fake-verifier.ts";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";
import { fakeAdmissions } from "../../../test/fake-admissions.ts";
import { fakeUsageLog } from "../../../test/fake-usage-log.ts";
import { answeringUpstream, failingUpstream } from "../../../test/fake-upstream.ts";
import { BODY, reservationOf, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { fakeVerification } from "../../../test/fake-verifier.ts";
import { fakeReply } from "../../../test/fake-reply.ts";
import { createGuards } from "../guardrails/guard.ts";
import { createModelDirectory, type Model } from "../request/model-directory.ts";
import { createSettlements } from "./settlements.ts";
import { Refusal } from "../errors/refusal.ts";
import type { Upstream } from "../ports/upstream.ts";

const MODEL: Model = {
  provider: "echo",
  id: "echo",
  prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n } }],
  priceVersion: "file:1",
  outputField: "max_tokens",
};
const USAGE = { prompt_tokens: 3, completion_tokens: 1 };
const WHOLE = JSON.stringify({ choices: [{ message: { content: "the secret" } }], usage: USAGE });
const CHUNKS = [
  { choices: [{ index: 0, delta: { content: "the sec" } }] },
  { choices: [{ index: 0, delta: { content: "ret" }, finish_reason: "stop" }] },
  { choices: [], usage: USAGE },
].map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
const REDACT = { name: "w", pattern: "secret", action: "redact", appliesTo: "both" } as const;

const LOG = createLogger("gateway", (line) => line, "silent");
const STREAM = { ...BODY, stream: true };

const SCENARIOS: Readonly<Record<string, readonly [() => Upstream, object, object]>> = {
  "a whole answer": [
    () => answeringUpstream("application/json", [WHOLE]),
    BODY,
    { outcome: "succeeded", costNanoUsd: 5_000n },
  ],
  "a stream": [
    () => answeringUpstream("text/event-stream", [...CHUNKS, "data: [DONE]\n\n"]),
    STREAM,
    { outcome: "succeeded", costNanoUsd: 5_000n },
  ],
  "a stream that breaks off": [
    () => answeringUpstream("text/event-stream", CHUNKS.slice(0, 1)),
    STREAM,
    { outcome: "failed", estimated: true },
  ],
  "a refusal of the upstream": [
    () => answeringUpstream("application/json", ["{}"], { status: 400 }),
    BODY,
    { httpStatus: 400, costNanoUsd: 0n },
  ],
  "an upstream that cannot be reached": [
    () => failingUpstream("unreachable"),
    BODY,
    { httpStatus: 502, costNanoUsd: 0n },
  ],
  "an upstream that breaks off": [() => failingUpstream("broken"), BODY, { httpStatus: 502, estimated: true }],
};

/** Serves one request whose n-th step after its admission throws. @returns its reservation, rows and answer */
async function runWithFault(upstream: Upstream, body: object, step: number) {
  const fault = new Fault(step);
  const limits = {
    budget: { window: "total", limitNano: 10n ** 12n },
    rateLimit: { windowSecs: 60, maxConcurrent: 1n },
  };
  const budget = fakeAdmissions(limits as Parameters<typeof fakeAdmissions>[0]);
  const usage = fakeUsageLog();
  const usageLog = faulty(usage, fault, "usageLog");
  const log = faulty(LOG, fault, "log");
  const reply = fakeReply();
  const settlements = createSettlements({ admissions: budget, usageLog, log });
  const guardOf = createGuards(fakeGuardrailDirectory([{ contentPatterns: [REDACT] }]));
  const overrides = {
    subscribeToKey: fakeVerification(async () => callerWith(["inference:*"])),
    directory: createModelDirectory([faulty(MODEL, fault, "model")]),
    guardOf: async (caller: Parameters<typeof guardOf>[0]) => faulty(await guardOf(caller), fault, "guard"),
    admissions: {
      ...budget,
      async admit(request: Parameters<typeof budget.admit>[0]) {
        const decision = await budget.admit(request);
        fault.arm();
        return decision;
      },
    },
    upstreams: new Map([["echo", faulty(upstream, fault, "upstream")]]),
    usageLog,
    settlements,
    log,
    clock: faulty(Date.now, fault, "clock"),
  };
  const { serve } = pipelineUnderTest({ overrides, upstream });
  const { refusal } = await serve(body, faulty(reply, fault, "reply"));
  await settlements.stop();
  return { fault, budget, usage, reply, refusal };
}

describe.each(Object.entries(SCENARIOS))(
  "a throw at any step after the admission of %s",
  (_, [upstream, body, ended]) => {
    it("leaves nothing reserved, one row, and an answer to its client", async () => {
      const steps: string[] = [];
      for (let step = 1; ; step++) {
        const { fault, budget, usage, reply, refusal } = await runWithFault(upstream(), body, step);
        if (fault.thrownAt === undefined) {
          expect(usage.settlements).toMatchObject([ended]);
          break;
        }
        const at = fault.thrownAt;
        steps.push(at);
        expect(budget.reservedNano, at).toBe(0n);
        expect(budget.closed, at).toHaveLength(1);
        // If the settlement cannot be recorded, the row of the admission remains.
        if (at !== "usageLog.recordSettlement()") expect(usage.settlements, at).toHaveLength(1);
        expect([0n, reservationOf(body), 5_000n], at).toContain(budget.spentNano);
        for (const { costNanoUsd, outcome } of usage.settlements) {
          expect(costNanoUsd, at).toBe(budget.spentNano);
          expect(["succeeded", "failed"], at).toContain(outcome);
        }
        if (!reply.begun) {
          const status = refusal instanceof Refusal ? refusal.status : 500;
          expect([400, 500, 502, 503], at).toContain(status);
        }
        const next = await budget.admit({
          namespaceId: "ns_1",
          requestId: "req_2",
          keyId: "key_1",
          lineage: ["key_1"],
          price: { inputPicoUsd: 1n, outputPicoUsd: 1n },
          inputTokensMax: 1,
          outputTokensMax: 1,
          choices: 1,
          idempotencyKey: undefined,
        } as unknown as Parameters<typeof budget.admit>[0]);
        expect(next.admitted, at).toBe(true);
      }
      expect(steps).toEqual(
        expect.arrayContaining(["clock()", "usageLog.recordAdmission()", "usageLog.recordSettlement()"]),
      );
      expect(steps.some((each) => each.startsWith("model."))).toBe(true);
      expect(steps.some((each) => each.startsWith("upstream.send()"))).toBe(true);
    });
  },
);
