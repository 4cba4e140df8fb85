import type { WireCodec } from "../codec.ts";
import { readMessagesAnswer } from "./read-answer.ts";
import { readMessagesRequest } from "./read-request.ts";
import { MessagesStreamReader } from "./read-stream.ts";
import { writeMessagesAnswer } from "./write-answer.ts";
import { writeMessagesRequest } from "./write-request.ts";
import { MessagesStreamWriter } from "./write-stream.ts";

/** Reader and writer of the messages wire. */
export const messagesCodec: WireCodec = {
  readRequest: readMessagesRequest,
  writeRequest: writeMessagesRequest,
  readAnswer: readMessagesAnswer,
  writeAnswer: writeMessagesAnswer,
  openStreamReader: () => new MessagesStreamReader(),
  openStreamWriter: () => new MessagesStreamWriter(),
};
