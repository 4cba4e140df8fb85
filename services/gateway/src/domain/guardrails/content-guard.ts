import {
  type BlockReason,
  JsonRedactionWriter,
  judgeParts,
  judgeText as judgeWhole,
  matchesInParts,
  type Redactions,
  type Work,
} from "@routeplane/guardrails";
import type { TextPlaces, ValueAt } from "../wires/content-format.ts";
import type { GuardPattern, GuardRules } from "./guard.ts";
import type { JsonObject } from "../wire/json.ts";
import type { Edit } from "../wire/json-edits.ts";
import { type JsonText, jsonTexts, valueOfString } from "../wire/json-texts.ts";
import { isDataUrl, type MediaText, mediaTextOf } from "./media-text.ts";
import { passesAtOnce } from "./separate-texts.ts";

/** Patterns for the content of one JSON text, and the listeners for their matches. */
export interface ContentGuard {
  /** Patterns of enforced guardrails. */
  readonly rules: GuardRules | undefined;
  /** Patterns of guardrails in shadow mode. */
  readonly shadowRules: GuardRules | undefined;
  readonly work: Work;
  readonly shadowWork: Work;
  readonly places: TextPlaces;
  readonly onRedactions: (redactions: readonly Redactions<GuardPattern>[]) => void;
  /** Called for each pattern in shadow mode that matches. */
  readonly onShadowMatch: (pattern: GuardPattern) => void;
}

/** Judgement of content. */
export interface JudgedContent {
  /** Redactions, in ascending order of their positions. */
  readonly edits: readonly Edit[];
  readonly blocked: BlockReason<GuardPattern> | undefined;
  /** True if some of the content cannot be inspected. */
  readonly isUninspectable: boolean;
}

/** One of several texts that are read as one. */
interface Part {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** Positions in the orders in which models read the parts; none if that is the order in which they are written. */
  readonly orders: readonly (readonly number[])[];
}

/**
 * Judges all content of a JSON text. Each string, name and number is one text; the parts of a message, together with those of
 * consecutive messages of its side, are read as one, and so are the texts at one place in a list of a message.
 *
 * @param isSeparate true if no two texts are read as one, and the document has neither media nor opaque places
 * @returns the judgement, or a promise of it where texts have to be judged one by one
 * @throws the reason of the work's signal once it is aborted
 */
export function judgeContent(
  guard: ContentGuard,
  json: string,
  isSeparate: boolean,
): JudgedContent | Promise<JudgedContent> {
  return isSeparate && passesAtOnce(guard, json) ? NOTHING_FOUND : judgeEachText(guard, json);
}

const NOTHING_FOUND: JudgedContent = { edits: [], blocked: undefined, isUninspectable: false };

async function judgeEachText(guard: ContentGuard, json: string): Promise<JudgedContent> {
  const { places } = guard;
  const edits: Edit[] = [];
  const messages = new Map<number, { side: string; readonly parts: Part[] }>();
  const messageAt = (index: number) => {
    const message = messages.get(index) ?? { side: index < 0 ? "system" : "", parts: [] };
    messages.set(index, message);
    return message;
  };
  const lists = new Map<string, Part[]>();
  let isUninspectable = false;
  /** Parsed document; undefined until a text needs another member of its object. */
  let document: { readonly root: unknown } | undefined;
  const valueAt: ValueAt = (path) => {
    document ??= { root: JSON.parse(json) };
    return memberOf(document.root, path);
  };
  const work = guard.rules === undefined ? guard.shadowWork : guard.work;
  for (const text of jsonTexts(json, work, places.opaque)) {
    if (text === undefined) {
      await work.pause();
      continue;
    }
    const { start, end } = text;
    if (text.kind === "whole") {
      // An empty list has nothing to judge, and its client may need a list.
      if (guard.rules !== undefined && json.slice(start, end) !== "[]") edits.push({ start, end, literal: "null" });
      continue;
    }
    const value = (): string => valueOf(text, json);
    const side = places.sideOf(text, value);
    if (side !== undefined) {
      const message = messageAt(Number(text.path()[1] ?? 0));
      // A result of a tool is the user's, whatever role its item names.
      if (message.side !== "user") message.side = side;
    }
    const siblingOf = (name: string): unknown => valueAt([...text.path().slice(0, -1), name]);
    const kind = places.kindOf(text, value, siblingOf);
    if (kind === "exempt") continue;
    const message = kind === "media" ? undefined : places.messageOf(text, siblingOf);
    if (message !== undefined) {
      const orders = (places.ordersOf?.(text, valueAt) ?? []).map((order) => [message].concat(order));
      messageAt(message).parts.push({ text: value(), start, end, orders });
      continue;
    }
    const content = value();
    const isMedia = kind === "media" || (text.kind === "string" && isDataUrl(content));
    const key = isMedia ? undefined : places.listOf(text);
    if (key !== undefined) {
      const list = lists.get(key) ?? [];
      lists.set(key, list);
      list.push({ text: content, start, end, orders: [] });
      continue;
    }
    // A number in the place of media encodes nothing that could be judged, e.g. a token.
    const isNumber = text.kind === "number";
    isUninspectable ||= isMedia && isNumber;
    const judged = await (isMedia && !isNumber ? judgeMedia : judgeText)(guard, text, content);
    isUninspectable ||= judged.isUninspectable;
    if (judged.blocked !== undefined) return { edits, blocked: judged.blocked, isUninspectable };
    edits.push(...judged.edits);
  }
  const inOrder = [...messages].toSorted(([first], [second]) => first - second).map(([, message]) => message);
  for (const parts of [...runsOf(inOrder), ...lists.values()]) {
    const { edits: more, blocked } = await judgeRun(guard, parts);
    if (blocked !== undefined) return { edits, blocked, isUninspectable };
    for (const edit of more) edits.push(edit);
  }
  return { edits: edits.toSorted((first, second) => first.start - second.start), blocked: undefined, isUninspectable };
}

function memberOf(root: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce(
    (value, step) => (typeof value === "object" ? (value as JsonObject | null)?.[step] : undefined),
    root,
  );
}

/** Judges the parts of a run as they are written and, where that differs, in each order in which models read them. */
async function judgeRun(guard: ContentGuard, parts: readonly Part[]): Promise<JudgedContent> {
  const judged = await judgeTexts(guard, parts);
  if (judged.blocked !== undefined) return judged;
  const edits = new Map(judged.edits.map((edit) => [edit.start, edit]));
  const sequences = [parts];
  const count = parts.reduce((most, { orders }) => Math.max(most, orders.length), 0);
  for (let at = 0; at < count; at++) {
    const inOrder = parts.toSorted((first, second) => compareOrders(first.orders[at] ?? [], second.orders[at] ?? []));
    if (sequences.some((known) => known.every((part, index) => part === inOrder[index]))) continue;
    sequences.push(inOrder);
    const redacted = inOrder.map((part) => {
      const edit = edits.get(part.start);
      const { start, end, orders } = part;
      return edit === undefined ? part : { text: JSON.parse(edit.literal) as string, start, end, orders };
    });
    const more = await judgeTexts(guard, redacted);
    if (more.blocked !== undefined) return more;
    for (const edit of more.edits) edits.set(edit.start, edit);
  }
  return { ...judged, edits: [...edits.values()] };
}

/** Compares two positions; 0 if one is the beginning of the other. */
function compareOrders(first: readonly number[], second: readonly number[]): number {
  const at = first.findIndex((number, index) => number !== second[index]);
  return at === -1 || at >= second.length ? 0 : (first[at] ?? 0) - (second[at] ?? 0);
}

/** Judges one text. */
export async function judgeText(guard: ContentGuard, text: JsonText, value: string): Promise<JudgedContent> {
  const { start, end } = text;
  return judgeTexts(guard, [{ text: value, start, end, orders: [] }], guard.places.isArguments(text));
}

/**
 * Judges texts that are read as one.
 *
 * @param isJson true for one text that is JSON, which stays valid
 */
async function judgeTexts(guard: ContentGuard, parts: readonly Part[], isJson = false): Promise<JudgedContent> {
  const { rules, shadowRules, work, shadowWork } = guard;
  const texts = parts.map(({ text }) => text);
  if (shadowRules !== undefined) {
    for (const pattern of await matchesInParts(shadowRules, texts, shadowWork)) guard.onShadowMatch(pattern);
  }
  if (rules === undefined) return { edits: [], blocked: undefined, isUninspectable: false };
  const {
    parts: passed,
    redactions,
    blocked,
  } = isJson ? await judgeJson(rules, texts.join(""), work) : await judgeParts(rules, texts, work);
  if (blocked === undefined) guard.onRedactions(redactions);
  const edits = parts.flatMap(({ text, start, end }, index) => {
    const redacted = passed[index] ?? text;
    return redacted === text ? [] : [{ start, end, literal: JSON.stringify(redacted) }];
  });
  return { edits, blocked, isUninspectable: false };
}

async function judgeJson(rules: GuardRules, json: string, work: Work) {
  const { text, redactions, blocked } = await judgeWhole(rules, json, work, new JsonRedactionWriter(work));
  return { parts: [text], redactions, blocked };
}

/** Judges a value in the place of media: the text that it encodes or, if it encodes none, the value as it is written. */
export async function judgeMedia(guard: ContentGuard, { start, end }: JsonText, value: string): Promise<JudgedContent> {
  const { rules, work, shadowWork } = guard;
  const media: MediaText | undefined = await mediaTextOf(value, rules === undefined ? shadowWork : work);
  // Base64 of binary data is not text, and judging it would cost as much as text.
  if (media === undefined && (BINARY_URL.test(value) || (value.length > MAX_ID_CHARS && BASE64.test(value)))) {
    return { edits: [], blocked: undefined, isUninspectable: true };
  }
  const judged = await judgeTexts(guard, [{ text: media?.text ?? value, start, end, orders: [] }]);
  const edits = judged.edits.map((edit) =>
    media === undefined
      ? edit
      : { ...edit, literal: JSON.stringify(media.withText(JSON.parse(edit.literal) as string)) },
  );
  return { ...judged, edits, isUninspectable: media === undefined };
}

/** Length up to which base64 may be an id, and is judged as text. */
const MAX_ID_CHARS = 128;
const BASE64 = /^[A-Za-z0-9+/_=\s-]*$/;
const BINARY_URL = /^data:(?:application|audio|font|image|text|video)\/[\w.+-]{1,80};base64,[A-Za-z0-9+/_=\s-]*$/i;

/** Matches text that has no visible character. */
const HIDDEN = /^[\p{Default_Ignorable_Code_Point}\p{Cc}]*$/u;

/** Groups the parts of consecutive messages of one side. Messages without visible text do not end a group. */
function runsOf(messages: readonly { readonly side: string; readonly parts: readonly Part[] }[]): readonly Part[][] {
  const runs: Part[][] = [];
  let lastSide: string | undefined;
  for (const { side, parts } of messages) {
    if (parts.every(({ text }) => HIDDEN.test(text))) continue;
    const run = side !== "" && side === lastSide ? runs.at(-1) : undefined;
    if (run === undefined) runs.push([...parts]);
    else for (const part of parts) run.push(part);
    lastSide = side;
  }
  return runs;
}

/** Value of a text: a string or name without escapes, a number as it is written. */
export function valueOf({ kind, start, end }: JsonText, json: string): string {
  if (kind !== "number") return valueOfString(json, start, end);
  const literal = json.slice(start, end);
  // Other notations of a whole number are judged as that number.
  const number = Number(literal);
  return !/^-?\d+$/.test(literal) && Number.isSafeInteger(number) ? String(number) : literal;
}
