/**
 * Judgement of a small document in one search, without finding its texts. If no pattern matches anywhere in a document, none of its texts
 * has a match, provided that each is judged by itself: a text is then a stretch of the document, between characters that are not part of a
 * word. This holds for almost all requests and answers. Finding and judging their texts one by one took four times as long.
 *
 * Everything else is left to `content-guard.ts`, text by text: a match, a pattern that asserts an edge, characters that can be
 * written in other forms, texts that are joined, media, and places that must not pass.
 */
import { matchesNothingWithin, type Work } from "@routeplane/guardrails";
import type { JsonObject } from "../wire/json.ts";
import type { GuardRules } from "./guard.ts";

/** The part of a content guard that a search needs. */
interface Searching {
  readonly rules: GuardRules | undefined;
  readonly shadowRules: GuardRules | undefined;
  readonly work: Work;
  readonly shadowWork: Work;
}

/**
 * True if no pattern matches in any text of a document, and all of it can be inspected. False if that takes a closer look.
 *
 * @param json valid JSON, whose texts are judged one by one
 */
export function passesAtOnce({ rules, shadowRules, work, shadowWork }: Searching, json: string): boolean {
  if (json.length > MAX_CHARS || OTHER_NUMBER.test(json) || DATA_URL.test(json)) return false;
  const text = withoutEscapes(json);
  if (rules !== undefined && !matchesNothingWithin(rules, text, work)) return false;
  return shadowRules === undefined || matchesNothingWithin(shadowRules, text, shadowWork);
}

/** Length up to which a document is searched at once. */
const MAX_CHARS = 16_384;
/** Matches a number that is judged in another notation than its own. */
const OTHER_NUMBER = /\d[eE][+\d-]/;
const DATA_URL = /data:/i;

/** Replaces the escapes that almost every text has by their characters. Of any other escape, the backslash is left: another form. */
function withoutEscapes(json: string): string {
  if (!json.includes("\\")) return json;
  return json.replaceAll("\\n", "\n").replaceAll('\\"', '"').replaceAll("\\t", "\t").replaceAll("\\r", "\r");
}

/**
 * True if no texts of messages are read as one, and none of their places holds media: each message is a role and a text, and has another
 * side than the one before it. Duplicate members are refused in messages, so that the parsed values are complete.
 *
 * @param before side of the text before the messages, if there is one
 */
export function hasSeparateTexts(messages: readonly JsonObject[], before?: "system"): boolean {
  let last: string | undefined = before;
  for (const message of messages) {
    const { role, content } = message;
    if (typeof role !== "string" || typeof content !== "string" || content === "") return false;
    if (Object.keys(message).length > 2) return false;
    const side = sideOf(role);
    if (side === last) return false;
    last = side;
  }
  return true;
}

/**
 * Side of a conversation that a role speaks for. Consecutive messages of one side are read as one text: upstreams make one turn of them.
 * `developer` is the newer name of `system`. Results of tools are the user's, in whose message Anthropic's wire has them.
 */
export function sideOf(value: string): string {
  const role = value.trim().toLowerCase();
  if (role === "developer") return "system";
  return role === "tool" || role === "function" ? "user" : role;
}

/**
 * True if no texts of an answer are read as one, and none of its places holds media or the tokens of the answer one by one. Searches the
 * JSON text, because a parser returns only the last of several members of the same name.
 */
export function isSeparateAnswer(json: string): boolean {
  if (json.length > MAX_CHARS || hasTwoLists(json)) return false;
  const content = json.indexOf(CONTENT);
  return (content === -1 || json.indexOf(CONTENT, content + 1) === -1) && !OTHER_PLACE.test(json);
}

const CONTENT = '"content"';

/** True if there may be two lists that are not empty. An expression that looks for them took ten times as long. */
function hasTwoLists(json: string): boolean {
  let lists = 0;
  for (let at = json.indexOf("["); at !== -1; at = json.indexOf("[", at + 1)) {
    if (json[at + 1] !== "]" && ++lists > 1) return true;
  }
  return false;
}

/** Matches members of an answer that hold media or texts in parts, or repeat its tokens. */
const OTHER_PLACE =
  /(?:url|data|b64_json|base64|images?|video|token_ids|prediction)"\s*:|"content"\s*:\s*[^"n\s]|logprobs"\s*:\s*[^n\s]/;
