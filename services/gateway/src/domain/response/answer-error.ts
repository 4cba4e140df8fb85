import { isObject, type JsonObject, parseJsonOrUndefined } from "../wire/json.ts";
import type { SseEvent } from "../wire/sse.ts";
import { readErrorJson, type UpstreamWords } from "./upstream-words.ts";

/** Matches data that may be an error, so that no other data need be parsed for it. A quote within a string is escaped. */
const MAY_BE_ERROR = /"error"\s*:\s*["{[]|"(?:object|type)"\s*:\s*"(?:error|response\.failed)"|^\s*\[/;

/** Error that an event of a stream is or holds; undefined if it is none. @param event whose data is within the bounds of JSON */
export function errorWordsOf({ data = "", name }: SseEvent): UpstreamWords | undefined {
  const isNamed = name === "error";
  if (!isNamed && !MAY_BE_ERROR.test(data)) return undefined;
  const json = parseJsonOrUndefined(data);
  if (isObject(json) && json["type"] === "response.failed") {
    return readErrorJson({ error: isObject(json["response"]) ? json["response"]["error"] : undefined });
  }
  return isNamed || isErrorAnswer(json) || hasError(json) ? readErrorJson(withChoiceError(json ?? data)) : undefined;
}

/**
 * Error that a whole answer is, in the place of a completion; undefined if it is none.
 *
 * @param contentType media type of the answer
 */
export function errorOfAnswer(json: unknown, contentType: string): UpstreamWords | undefined {
  const isProblem = contentType === "application/problem+json" && !isAnswer(json);
  return isProblem || isErrorAnswer(json) ? readErrorJson(withChoiceError(json)) : undefined;
}

/** True if a choice of a completion has failed: the provider behind a router broke off. */
export function hasFailedChoice(json: unknown): boolean {
  return choicesOf(json).some((choice) => choice["finish_reason"] === "error" || isStated(choice["error"]));
}

/** True for an error in the place of an answer, in the shapes that APIs give errors. */
function isErrorAnswer(json: unknown): boolean {
  if (Array.isArray(json)) return json.length > 0 && json.every((item) => hasError(item) || isErrorAnswer(item));
  if (!isObject(json)) return false;
  if (isAnswer(json)) return hasFailedChoice(json) && !hasText(json);
  if (hasError(json) || json["object"] === "error" || json["type"] === "error" || json["success"] === false)
    return true;
  if (isStated(json["errors"]) || isStated(json["detail"])) return true;
  return typeof json["message"] === "string" && ["code", "status", "type", "statusCode"].some((name) => name in json);
}

/** True if an object has choices, which make it an answer whatever else it has. */
function isAnswer(json: unknown): boolean {
  return choicesOf(json).length > 0;
}

function choicesOf(json: unknown): readonly JsonObject[] {
  const choices = isObject(json) ? json["choices"] : undefined;
  return Array.isArray(choices) ? choices.filter(isObject) : [];
}

/** True if a choice has text, which the client is to get although the answer failed. */
function hasText(json: unknown): boolean {
  return choicesOf(json).some(({ message, delta = message }) =>
    isObject(delta) ? isStated(delta["content"] ?? delta["tool_calls"]) : false,
  );
}

function hasError(json: unknown): boolean {
  return isObject(json) && isStated(json["error"]);
}

/** True for a value that says something: no empty text, list or object, and not null. */
function isStated(value: unknown): boolean {
  if (typeof value === "string") return value.trim() !== "";
  return typeof value === "object" && value !== null && Object.keys(value).length > 0;
}

/** Moves the error of a choice to the place of an error. */
function withChoiceError(json: unknown): unknown {
  if (!isObject(json) || hasError(json)) return json;
  const choice = choicesOf(json).find(({ error }) => isStated(error));
  return choice === undefined ? json : { error: choice["error"] };
}
