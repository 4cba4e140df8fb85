import type { AnswerHead } from "./model.ts";

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
