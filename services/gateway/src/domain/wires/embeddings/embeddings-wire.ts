import { isUtf8 } from "node:buffer";
import { OPENAI_ERRORS } from "../../errors/error-envelope.ts";
import { badField } from "../../errors/refusal.ts";
import { isWireName } from "../../guardrails/wire-names.ts";
import { InputCollector } from "../../request/input-collector.ts";
import type { AnswerFormat } from "../answer-format.ts";
import { collectMembers } from "../collect-members.ts";
import type { JsonText } from "../../wire/json-texts.ts";
import type { ContentFormat, ContentKind, TextPlaces } from "../content-format.ts";
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

/** Requests of POST /v1/embeddings: texts, or lists of tokens. None of them continues another. */
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
      hasSeparateTexts: !hasTokens(body["input"]),
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

/** True if an input is tokens, which cannot be inspected. */
function hasTokens(input: unknown): boolean {
  return Array.isArray(input) && input.some((each) => typeof each !== "string");
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

const PLACES: Pick<TextPlaces, "sideOf" | "messageOf" | "listOf" | "isArguments" | "opaque"> = {
  sideOf: () => undefined,
  messageOf: () => undefined,
  listOf: () => undefined,
  isArguments: () => false,
  opaque: new Set(),
};

/** Kind of a text of an answer. Everything is judged except numbers, base64 of numbers, and values that only the API sets. */
function answerKindOf({ kind, place }: JsonText, value: () => string): ContentKind {
  if (kind === "name") return isWireName(value(), "") || ANSWER_NAMES.has(value()) ? "exempt" : "text";
  if (kind === "number") return ANSWER_NUMBERS.test(place) || !/^-?\d+$/.test(value()) ? "exempt" : "text";
  switch (place) {
    case "object":
    case "data[].object":
      return value() === "list" || value() === "embedding" ? "exempt" : "text";
    case "model":
      return /^[\w.:/@+-]{0,128}$/.test(value()) && !/\d{13}/.test(value()) ? "exempt" : "text";
    case "data[].embedding":
      return isBase64OfNumbers(value()) ? "exempt" : "media";
    default:
      return "text";
  }
}

const ANSWER_NAMES = new Set([
  "embedding",
  "object",
  "data",
  "index",
  "usage",
  "prompt_tokens",
  "total_tokens",
  "model",
]);
/** Matches places of numbers which no model writes as text. */
const ANSWER_NUMBERS = /^(?:data\[\]\.(?:index|embedding(?:\[\])*)|usage\..*)$/;

/** True for base64 of numbers of 4 bytes that is no base64 of a text. */
function isBase64OfNumbers(value: string): boolean {
  if (value.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) return false;
  const bytes = Buffer.from(value, "base64");
  return bytes.length % 4 === 0 && !isUtf8Text(bytes);
}

function isUtf8Text(bytes: Buffer): boolean {
  return isUtf8(bytes) && !bytes.some((byte) => byte < TAB);
}

/** Least character of texts. */
const TAB = 0x09;

/** Content of embeddings: the inputs. Tokens are treated as media, because their text is not known here. */
const CONTENT: ContentFormat = {
  request: {
    ...PLACES,
    kindOf({ kind, place }, value) {
      if (kind === "name") return isWireName(value(), "") ? "exempt" : "text";
      if (place === "model" || (place === "dimensions" && kind === "number")) return "exempt";
      if (place === "encoding_format") return value() === "float" || value() === "base64" ? "exempt" : "text";
      return kind === "number" && place.startsWith("input") ? "media" : "text";
    },
  },
  answer: {
    ...PLACES,
    kindOf: answerKindOf,
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
