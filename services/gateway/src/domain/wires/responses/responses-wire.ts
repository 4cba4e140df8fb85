import type { Wire } from "../wire.ts";
import { RESPONSES_ANSWER } from "./responses-answer.ts";
import { RESPONSES_CONTENT } from "./responses-content.ts";
import { RESPONSES_ERRORS } from "./responses-errors.ts";
import { RESPONSES_REQUEST } from "./responses-request.ts";

/** Responses of the OpenAI API. */
export const RESPONSES: Wire = {
  name: "responses",
  request: RESPONSES_REQUEST,
  answer: RESPONSES_ANSWER,
  content: RESPONSES_CONTENT,
  errors: RESPONSES_ERRORS,
};
