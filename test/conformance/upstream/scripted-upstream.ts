import type { IncomingHttpHeaders } from "node:http";
import { answerOf } from "../scenarios.ts";
import { chatAnswer } from "./chat-answer.ts";
import { readChatRequest } from "./chat-request.ts";
import { embed } from "./embeddings.ts";
import { messagesAnswer } from "./messages-answer.ts";
import {
  checkCountTokensRequest,
  MESSAGES_VERSIONS,
  type MessagesVersion,
  readMessagesRequest,
} from "./messages-request.ts";
import { type ReceivedRequest, requireThat } from "./received.ts";
import { responsesAnswer } from "./responses-answer.ts";
import { readResponsesRequest } from "./responses-request.ts";
import { type Endpoint, type Reply, startWireServer, type WireServer } from "./wire-server.ts";

export const COUNTED_TOKENS = 17;

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  "/v1/chat/completions": {
    answer: chatAnswer,
    takesApiKey: false,
    reply: (body) => replyTo(readChatRequest(body)),
  },
  "/v1/responses": {
    answer: responsesAnswer,
    takesApiKey: false,
    reply: (body) => replyTo(readResponsesRequest(body)),
  },
  "/v1/embeddings": { answer: chatAnswer, takesApiKey: false, reply: (body) => ({ body: embed(body) }) },
  "/v1/messages": {
    answer: messagesAnswer,
    takesApiKey: true,
    reply: (body, headers) => replyTo(readMessagesRequest(body, versionOf(headers))),
  },
  "/v1/messages/count_tokens": {
    answer: messagesAnswer,
    takesApiKey: true,
    reply(body, headers) {
      versionOf(headers);
      checkCountTokensRequest(body);
      return { body: { input_tokens: COUNTED_TOKENS } };
    },
  },
};

/** Starts an upstream that speaks the wires of OpenAI and Anthropic, answers by scenario, and refuses what the providers refuse. */
export function startScriptedUpstream(): Promise<WireServer> {
  return startWireServer(ENDPOINTS);
}

function replyTo(request: ReceivedRequest): Reply {
  return { request, turn: answerOf(request) };
}

/** Version of Anthropic's API that a request names. @throws ProviderFault if it is none */
function versionOf({ "anthropic-version": version }: IncomingHttpHeaders): MessagesVersion {
  const known = MESSAGES_VERSIONS.find((one) => one === version);
  requireThat(known !== undefined, `anthropic-version: "${String(version)}" is not a valid version`);
  return known;
}
