import { OPENAI_ERRORS } from "../../errors/error-envelope.ts";
import { badField } from "../../errors/refusal.ts";
import { isWireName } from "../../guardrails/wire-names.ts";
import { InputCollector } from "../../request/input-collector.ts";
import type { AnswerFormat } from "../answer-format.ts";
import { collectMembers } from "../collect-members.ts";
import type { ContentFormat, TextPlaces } from "../content-format.ts";
import { readModel } from "../read-member.ts";
import type { ParsedBody, RequestFormat } from "../request-format.ts";
import type { Wire } from "../wire.ts";

/** Bound of the inputs of one request, as of the OpenAI API. */
const MAX_INPUTS = 2_048;

/** Members of the top level that the gateway reads. */
const READ_MEMBERS = new Set(["model", "input"]);
const MEMBER_KINDS = {
  collected: new Set(["input"]),
  texts: new Set<string>(),
  parameters: new Set(["dimensions", "encoding_format", "user"]),
  readMembers: READ_MEMBERS,
};

/** Requests of POST /v1/embeddings: texts, or lists of tokens, of which none continues another. */
const REQUEST: RequestFormat = {
  readMembers: READ_MEMBERS,
  namesWithin: new Map(),
  outputFields: [],
  read(parsed) {
    const { body } = parsed;
    if (body["stream"] === true) throw badField("stream", "must not be true: embeddings are not streamed");
    return {
      model: readModel(body),
      choices: 1,
      output: undefined,
      streamed: false,
      wantsUsageChunk: false,
      streamOptions: undefined,
      hasSeparateTexts: true,
      hasTools: false,
      hostedTools: [],
      collected: collectInput(parsed),
    };
  },
};

function collectInput(parsed: ParsedBody): InputCollector {
  const collected = new InputCollector();
  const { input } = parsed.body;
  const inputs = Array.isArray(input) && !isToken(input[0]) ? input : [input];
  if (inputs.length === 0 || inputs.length > MAX_INPUTS) throw badField("input", `must have 1 to ${MAX_INPUTS} items`);
  for (const each of inputs as readonly unknown[]) {
    collected.messages++;
    if (typeof each === "string" && each !== "") collected.addText(each);
    else if (Array.isArray(each) && each.length > 0 && each.every(isToken)) collected.otherBytes += each.length;
    else throw badField("input", "must be a text, a list of tokens, or a list of those, and none of them empty");
  }
  collectMembers(parsed, MEMBER_KINDS, collected);
  return collected;
}

function isToken(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Lists of embeddings. They have no output, and no text of a model. */
const ANSWER: AnswerFormat = {
  noun: "a list of embeddings",
  isAnswer: ({ data }) => Array.isArray(data),
  hasFailed: () => false,
  addOutput: () => false,
  stream: undefined,
};

const PLACES: Pick<TextPlaces, "messageOf" | "listOf" | "isArguments" | "opaque"> = {
  messageOf: () => undefined,
  listOf: () => undefined,
  isArguments: () => false,
  opaque: new Set(),
};

/** Content of embeddings: the inputs. Tokens are media, of which nobody here knows the text. */
const CONTENT: ContentFormat = {
  request: {
    ...PLACES,
    kindOf({ kind, place }, value) {
      if (kind === "name") return isWireName(value(), "") ? "exempt" : "text";
      if (place === "model" || place === "dimensions") return "exempt";
      if (place === "encoding_format") return value() === "float" || value() === "base64" ? "exempt" : "text";
      return kind === "number" && place.startsWith("input") ? "media" : "text";
    },
  },
  answer: {
    ...PLACES,
    // Base64 of numbers, or the numbers.
    kindOf: ({ place }) => (place.startsWith("data[]") ? "exempt" : "text"),
  },
  isSeparateAnswer: () => false,
};

/** Embeddings of the OpenAI API. */
export const EMBEDDINGS: Wire = {
  name: "embeddings",
  request: REQUEST,
  answer: ANSWER,
  content: CONTENT,
  errors: OPENAI_ERRORS,
};
