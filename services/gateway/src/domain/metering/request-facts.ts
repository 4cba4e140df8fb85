import type { Id } from "@routeplane/domain";
import type { ReservationKey } from "../ports/admissions.ts";
import type { CallingKey } from "../ports/key-verifier.ts";
import type { Model } from "../request/model-directory.ts";

/** Facts of a request: known from its admission on, and the same in each of its usage events. */
export interface RequestFacts extends ReservationKey {
  /** Time at which the gateway received it. */
  readonly createdAt: Date;
  /** Route, e.g. `/v1/chat/completions`. */
  readonly endpoint: string;
  /** Resolved id, without provider prefix. */
  readonly model: string;
  readonly provider: string;
  readonly streamed: boolean;
}

/** Call of an inference route, as far as its facts need it. */
interface ReceivedCall {
  readonly requestId: Id<"req">;
  readonly createdAt: Date;
  readonly endpoint: string;
}

export function factsOf(
  call: ReceivedCall,
  caller: CallingKey,
  request: Pick<RequestFacts, "streamed">,
  model: Model,
): RequestFacts {
  return {
    requestId: call.requestId,
    namespaceId: caller.namespaceId,
    keyId: caller.keyId,
    createdAt: call.createdAt,
    endpoint: call.endpoint,
    model: model.id,
    provider: model.provider,
    streamed: request.streamed,
  };
}
