import type { JsonObject } from "../json.ts";
import type { AnswerHead, Stop, Usage } from "../model.ts";
import type { WholeHead } from "../whole-head.ts";
import { writeResponsesUsage } from "./usage.ts";

/** Maximum number of parts of a stream, because each is kept until the end. */
export const MAX_STREAM_PARTS = 10_000;

/** State of a response, or of one of its items. */
export type Status = "in_progress" | "completed" | "incomplete" | "failed";

export interface ResponseState {
  readonly status: Status;
  readonly output: readonly JsonObject[];
  readonly usage?: Usage | undefined;
  /** Reason for which a response is incomplete. */
  readonly incomplete?: string | undefined;
  readonly error?: { readonly code: string; readonly message: string };
}

/**
 * Writes a response object with the members that clients' types require. Members of the request are not repeated: instructions and tools
 * would make each answer as long as its request.
 */
export function responseObject(head: WholeHead, state: ResponseState): JsonObject {
  const { id, model, createdAt, serviceTier } = head;
  const { status, output, usage, incomplete, error } = state;
  return {
    id: responseId(id),
    object: "response",
    created_at: createdAt,
    status,
    background: false,
    error: error ?? null,
    incomplete_details: incomplete === undefined ? null : { reason: incomplete },
    instructions: null,
    max_output_tokens: null,
    metadata: {},
    model,
    output,
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    ...(serviceTier !== undefined && { service_tier: serviceTier }),
    store: false,
    temperature: null,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_p: null,
    truncation: "disabled",
    usage: usage === undefined ? null : writeResponsesUsage(usage),
  };
}

/** Id of a response: that of the answer, with the prefix by which clients recognise a response. */
function responseId(id: string): string {
  return id.startsWith("resp_") ? id : `resp_${id}`;
}

/** Length to which the id of an answer is shortened within the ids of its items, which clients send back: at most 64 characters. */
const MAX_OWNER_CHARS = 48;

/** Id of the item at a position of the output. @param prefix kind of the item, such as `msg` */
export function itemId(prefix: string, { id }: Pick<AnswerHead, "id">, position: number): string {
  const owner = id.replace(/[^\w-]/g, "").slice(-MAX_OWNER_CHARS);
  return owner === "" ? `${prefix}_${position}` : `${prefix}_${owner}_${position}`;
}

/** Status with which a response ends, and the reason if it is incomplete. */
export function endOf({ reason }: Stop, hasRefusal: boolean): Pick<ResponseState, "status" | "incomplete"> {
  switch (reason) {
    case "end":
    case "stop_sequence":
    case "tool_calls":
      return { status: "completed" };
    case "refusal":
      return hasRefusal ? { status: "completed" } : { status: "incomplete", incomplete: "content_filter" };
    case "content_filter":
      return { status: "incomplete", incomplete: "content_filter" };
    case "output_limit":
    case "context_limit":
      return { status: "incomplete", incomplete: "max_output_tokens" };
    case "pause":
      return { status: "incomplete", incomplete: "pause" };
    case undefined:
    default:
      return { status: "incomplete" };
  }
}
