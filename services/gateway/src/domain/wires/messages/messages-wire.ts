import { ANTHROPIC_ERRORS } from "../../errors/error-envelope.ts";
import type { Wire } from "../wire.ts";
import { MESSAGES_ANSWER } from "./messages-answer.ts";
import { MESSAGES_CONTENT } from "./messages-content.ts";
import { MESSAGES_REQUEST } from "./messages-request.ts";

/** Messages of Anthropic's API. */
export const MESSAGES: Wire = {
  name: "messages",
  request: MESSAGES_REQUEST,
  answer: MESSAGES_ANSWER,
  content: MESSAGES_CONTENT,
  errors: ANTHROPIC_ERRORS,
};
