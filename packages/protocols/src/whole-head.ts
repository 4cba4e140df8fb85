import type { AnswerHead, AnswerPart, PartStart } from "./model.ts";

/** Facts that an answer can lack and the client's wire needs. */
export interface AnswerContext {
  /** Model that the answer names if the upstream names none. */
  readonly requestedModel?: string;
  /** Time of the answer if the upstream reports none, in seconds since 1970; the time of the call by default. */
  readonly createdAt?: number;
}

/** Head of an answer with all members that a wire needs. */
export type WholeHead = AnswerHead & { readonly createdAt: number };

/** Fills in members of the head that the upstream does not report. */
export function wholeHead<Head extends AnswerHead>(head: Head, context: AnswerContext): Head & WholeHead {
  return {
    ...head,
    model: head.model === "" ? (context.requestedModel ?? "") : head.model,
    createdAt: head.createdAt ?? context.createdAt ?? Math.floor(Date.now() / 1_000),
  };
}

/** Length to which the id of an answer is shortened within the ids of its calls, which clients send back: at most 64 characters. */
const MAX_OWNER_CHARS = 48;

/** Gives a tool call an id if the upstream gave it none: without one, its result could not be matched with it. */
export function withCallId<Part extends PartStart | AnswerPart>(part: Part, answerId: string, position: number): Part {
  if (part.type !== "tool_call" || part.id !== "") return part;
  const owner = answerId.replace(/[^\w-]/g, "").slice(-MAX_OWNER_CHARS);
  return { ...part, id: owner === "" ? `call_${position}` : `call_${owner}_${position}` };
}
