import type { WireCodec } from "../codec.ts";
import { readResponsesAnswer } from "./read-answer.ts";
import { readResponsesRequest } from "./read-request.ts";
import { ResponsesStreamReader } from "./read-stream.ts";
import { writeResponsesAnswer } from "./write-answer.ts";
import { writeResponsesRequest } from "./write-request.ts";
import { ResponsesStreamWriter } from "./write-stream.ts";

/** Reader and writer of the responses wire. */
export const responsesCodec: WireCodec = {
  readRequest: readResponsesRequest,
  writeRequest: writeResponsesRequest,
  readAnswer: readResponsesAnswer,
  writeAnswer: writeResponsesAnswer,
  openStreamReader: () => new ResponsesStreamReader(),
  openStreamWriter: () => new ResponsesStreamWriter(),
};
