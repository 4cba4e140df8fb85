import type { WireName } from "./wire-name.ts";
import type { AnswerFormat } from "./answer-format.ts";
import type { ContentFormat } from "./content-format.ts";
import type { ErrorFormat } from "../errors/error-envelope.ts";
import type { RequestFormat } from "./request-format.ts";

/**
 * Wire: the format of the requests and answers of one API. The pipeline is the same for all wires; what differs between them is here,
 * so that a route is governed once it names its wire.
 */
export interface Wire {
  readonly name: WireName;
  readonly request: RequestFormat;
  readonly answer: AnswerFormat;
  /** Classification of the texts of requests and answers, for guardrails. */
  readonly content: ContentFormat;
  /** Rendering of refusals. */
  readonly errors: ErrorFormat;
}
