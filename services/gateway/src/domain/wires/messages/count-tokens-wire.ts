import { ANTHROPIC_ERRORS } from "../../errors/error-envelope.ts";
import type { JsonObject } from "../../wire/json.ts";
import type { AnswerFormat } from "../answer-format.ts";
import type { ContentFormat } from "../content-format.ts";
import type { Wire } from "../wire.ts";
import { MESSAGES_ANSWER } from "./messages-answer.ts";
import { MESSAGES_CONTENT } from "./messages-content.ts";
import { COUNT_TOKENS_REQUEST } from "./messages-request.ts";

/** True for a count, and not for a message, which its upstream bills. */
function isCount({ input_tokens: tokens, content, usage }: JsonObject): boolean {
  return typeof tokens === "number" && content === undefined && usage === undefined;
}

/** Counts of the tokens of a message, which are not billed. */
const ANSWER: AnswerFormat = {
  noun: "a count of tokens",
  isFree: true,
  isAnswer: isCount,
  hasFailed: () => false,
  addOutput: (text, answer, choices) => !isCount(answer) && MESSAGES_ANSWER.addOutput(text, answer, choices),
  stream: undefined,
};

const CONTENT: ContentFormat = {
  ...MESSAGES_CONTENT,
  answer: {
    ...MESSAGES_CONTENT.answer,
    kindOf: (text, ...more) => (text.kind === "number" ? "exempt" : MESSAGES_CONTENT.answer.kindOf(text, ...more)),
  },
};

/** Counts of the tokens of messages, of Anthropic's API. */
export const COUNT_TOKENS: Wire = {
  name: "count_tokens",
  request: COUNT_TOKENS_REQUEST,
  answer: ANSWER,
  content: CONTENT,
  errors: ANTHROPIC_ERRORS,
};
