import type { ResponseGuard } from "../guardrails/response-guard.ts";
import type { MeteredRequest } from "../metering/answer-meter.ts";
import type { Timings } from "../metering/timings.ts";
import type { Reply } from "../ports/reply.ts";
import type { ClientStream } from "./client-stream.ts";

/** Client's side of a relay, and the request that the answer is of. */
export interface RelayContext extends MeteredRequest {
  readonly reply: Reply;
  /** Client's side of the stream; undefined unless the client asked for one. */
  readonly stream: ClientStream | undefined;
  /** Judges what may leave; undefined if every byte passes. */
  readonly guard: ResponseGuard | undefined;
  readonly timings: Pick<Timings, "markOutput">;
  /** Wait that the head of the answer asks for, as a `Retry-After`: it also holds for an error with a status of success. */
  readonly retryAfter?: string | undefined;
}
