import type { DecisionLog } from "./guardrails/decision-log.ts";
import type { Guard } from "./guardrails/guard.ts";
import type { JudgingShare } from "./guardrails/judging-meter.ts";
import type { RequestFacts } from "./metering/request-facts.ts";
import type { Timings } from "./metering/timings.ts";
import type { AnsweredBy } from "./metering/usage.ts";
import type { CallingKey } from "./ports/key-verifier.ts";
import type { Reply } from "./ports/reply.ts";
import type { Upstream } from "./ports/upstream.ts";
import type { InferenceRequest } from "./request/inference-request.ts";
import type { Model } from "./request/model-directory.ts";

/** Everything that the steps of the pipeline share about one request. Made once, when it is parsed; its members never change. */
export interface RequestContext {
  readonly facts: RequestFacts;
  readonly caller: CallingKey;
  readonly reply: Reply;
  readonly timings: Timings;
  /** Request as the client wrote it. */
  readonly request: InferenceRequest;
  /** Headers of the client that an upstream of the same wire gets, by name in lower case. */
  readonly forwardedHeaders?: Readonly<Record<string, string>> | undefined;
  readonly idempotencyKey: string | undefined;
  /** Requested model at the prices of this request, surcharges included. */
  readonly model: Model;
  /** Model at the prices that are charged for an answer. */
  readonly billedModelFor: (answeredBy: AnsweredBy) => Model;
  readonly upstream: Upstream;
  /** Guardrails of the calling key. */
  readonly guard: Guard;
  readonly decisions: DecisionLog;
  /** Budget of judging that the calling key has left. */
  readonly judgingShare: JudgingShare;
}
