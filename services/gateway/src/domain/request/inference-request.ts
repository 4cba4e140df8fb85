import type { Member } from "../wire/json-members.ts";
import type { Wire } from "../wires/wire.ts";
import type { SentInput } from "./input-collector.ts";
import type { ReadMembers } from "./read-members.ts";

/** Inference request: the body, and the parts of it that the gateway interprets. */
export interface InferenceRequest extends ReadMembers {
  readonly wire: Wire;
  /** Body as the client sent it, but for a byte order mark. */
  readonly bytes: Uint8Array;
  /** Body as text. */
  readonly text: string;
  /** Members of the top level. */
  readonly members: readonly Member[];
  /** Everything that the upstream may count as input. */
  readonly input: SentInput;
}
