import { OPENAI_ERRORS } from "../../errors/error-envelope.ts";
import type { Wire } from "../wire.ts";
import { CHAT_ANSWER } from "./chat-answer.ts";
import { CHAT_CONTENT } from "./chat-content.ts";
import { CHAT_REQUEST } from "./chat-request.ts";

/** Chat completions of the OpenAI API. */
export const CHAT: Wire = {
  name: "chat",
  request: CHAT_REQUEST,
  answer: CHAT_ANSWER,
  content: CHAT_CONTENT,
  errors: OPENAI_ERRORS,
};
