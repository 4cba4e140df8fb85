import type { WireCodec } from "../codec.ts";
import { readChatAnswer } from "./read-answer.ts";
import { readChatRequest } from "./read-request.ts";
import { ChatStreamReader } from "./read-stream.ts";
import { writeChatAnswer } from "./write-answer.ts";
import { writeChatRequest } from "./write-request.ts";
import { ChatStreamWriter } from "./write-stream.ts";

/** Reader and writer of the chat wire. */
export const chatCodec: WireCodec = {
  readRequest: readChatRequest,
  writeRequest: writeChatRequest,
  readAnswer: readChatAnswer,
  writeAnswer: writeChatAnswer,
  openStreamReader: () => new ChatStreamReader(),
  openStreamWriter: () => new ChatStreamWriter(),
};
