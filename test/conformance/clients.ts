import { anthropic } from "./clients/anthropic.ts";
import type { Client } from "./clients/client.ts";
import { curlChat, curlMessages, curlResponses } from "./clients/curl.ts";
import { langChainAnthropic, langChainChat, langChainResponses } from "./clients/langchain.ts";
import { openAiChat } from "./clients/openai-chat.ts";
import { openAiResponses } from "./clients/openai-responses.ts";
import { vercelAnthropic, vercelChat, vercelResponses } from "./clients/vercel.ts";

/** Rows of the table, in its order. */
export const CLIENTS: readonly Client[] = [
  openAiChat,
  vercelChat,
  langChainChat,
  curlChat,
  openAiResponses,
  vercelResponses,
  langChainResponses,
  curlResponses,
  anthropic,
  vercelAnthropic,
  langChainAnthropic,
  curlMessages,
];
