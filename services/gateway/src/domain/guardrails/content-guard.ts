import {
  type BlockReason,
  JsonRedactionWriter,
  judgeParts,
  judgeText as judgeWhole,
  matchesInParts,
  type Redactions,
  type Work,
} from "@routeplane/guardrails";
import { type ContentKind, isArguments, isInListOfMessage, isPartOfMessage } from "./content-kinds.ts";
import type { GuardPattern, GuardRules } from "./guard.ts";
import { type Edit, type JsonText, jsonTexts } from "../wire/json-texts.ts";
import { isDataUrl, type MediaText, mediaTextOf } from "./media-text.ts";

/** Patterns over the content of one JSON text, and what is told of their matches. */
export interface ContentGuard {
  /** Patterns of enforced guardrails. */
  readonly rules: GuardRules | undefined;
  /** Patterns of guardrails in shadow mode. */
  readonly watched: GuardRules | undefined;
  readonly work: Work;
  readonly shadowWork: Work;
  readonly kindOf: (text: JsonText, value: () => string) => ContentKind;
  readonly redacted: (redactions: readonly Redactions<GuardPattern>[]) => void;
  /** Called for each pattern in shadow mode that matches. */
  readonly noted: (pattern: GuardPattern) => void;
}

export interface JudgedContent {
  /** Changes to make, in ascending order of their place. */
  readonly edits: readonly Edit[];
  readonly blocked: BlockReason<GuardPattern> | undefined;
  /** True if some of the content cannot be inspected. */
  readonly isUninspectable: boolean;
}

/** One text of several that are read as one. */
interface Part {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Judges all content of a JSON text: each string, name and number by itself; the parts of a message and those of consecutive
 * messages of one role, and texts of the same place in a list of a message, also as one text.
 *
 * @param opaque places whose values become `null` where rules are enforced
 * @throws the reason of the work's signal once it is aborted
 */
export async function judgeContent(
  guard: ContentGuard,
  json: string,
  opaque: ReadonlySet<string> = new Set(),
): Promise<JudgedContent> {
  const edits: Edit[] = [];
  const messages = new Map<number, { role: string; readonly parts: Part[] }>();
  const messageAt = (text: JsonText) => {
    const index = Number(text.path()[1] ?? 0);
    const message = messages.get(index) ?? { role: "", parts: [] };
    messages.set(index, message);
    return message;
  };
  const lists = new Map<string, Part[]>();
  let isUninspectable = false;
  for await (const found of jsonTexts(json, guard.rules === undefined ? guard.shadowWork : guard.work, opaque)) {
    const { start, end } = found;
    if (found.kind === "whole") {
      if (guard.rules !== undefined) edits.push({ start, end, literal: "null" });
      continue;
    }
    const value = (): string => valueOf(found, json);
    if (found.place === "messages[].role") messageAt(found).role = roleOf(value());
    const kind = guard.kindOf(found, value);
    if (kind === "exempt") continue;
    if (isPartOfMessage(found)) {
      messageAt(found).parts.push({ text: value(), start, end });
      continue;
    }
    const text = value();
    const isMedia = kind === "media" || (found.kind === "string" && isDataUrl(text));
    if (!isMedia && isInListOfMessage(found)) {
      const key = `${found.path()[1]} ${found.place}`;
      const list = lists.get(key) ?? [];
      lists.set(key, list);
      list.push({ text, start, end });
      continue;
    }
    const judged = await (isMedia ? judgeMedia : judgeText)(guard, found, text);
    isUninspectable ||= judged.isUninspectable;
    if (judged.blocked !== undefined) return { edits, blocked: judged.blocked, isUninspectable };
    edits.push(...judged.edits);
  }
  for (const parts of [...runsOf([...messages.values()]), ...lists.values()]) {
    const { edits: more, blocked } = await judgeTexts(guard, parts);
    if (blocked !== undefined) return { edits, blocked, isUninspectable };
    for (const edit of more) edits.push(edit);
  }
  return { edits: edits.toSorted((one, other) => one.start - other.start), blocked: undefined, isUninspectable };
}

/** Judges a text by itself. */
export async function judgeText(guard: ContentGuard, found: JsonText, text: string): Promise<JudgedContent> {
  const { start, end } = found;
  return judgeTexts(guard, [{ text, start, end }], isArguments(found));
}

/**
 * Judges texts that are read as one.
 *
 * @param isJson whether it is one text, of JSON
 */
async function judgeTexts(guard: ContentGuard, parts: readonly Part[], isJson = false): Promise<JudgedContent> {
  const { rules, watched, work, shadowWork } = guard;
  const texts = parts.map(({ text }) => text);
  if (watched !== undefined) for (const each of await matchesInParts(watched, texts, shadowWork)) guard.noted(each);
  if (rules === undefined) return { edits: [], blocked: undefined, isUninspectable: false };
  const {
    parts: passed,
    redactions,
    blocked,
  } = isJson ? await judgeJson(rules, texts.join(""), work) : await judgeParts(rules, texts, work);
  if (blocked === undefined) guard.redacted(redactions);
  const edits = parts.flatMap(({ text, start, end }, index) => {
    const left = passed[index] ?? text;
    return left === text ? [] : [{ start, end, literal: JSON.stringify(left) }];
  });
  return { edits, blocked, isUninspectable: false };
}

async function judgeJson(rules: GuardRules, json: string, work: Work) {
  const { text, redactions, blocked } = await judgeWhole(rules, json, work, new JsonRedactionWriter(work));
  return { parts: [text], redactions, blocked };
}

/** Judges the text that stands in the place of media; if there is none, what stands there as it is written. */
export async function judgeMedia(guard: ContentGuard, { start, end }: JsonText, value: string): Promise<JudgedContent> {
  const { rules, work, shadowWork } = guard;
  const media: MediaText | undefined = await mediaTextOf(value, rules === undefined ? shadowWork : work);
  // Base64 of binary data is no text of anybody's, and its judgement would cost as much as that of one.
  if (media === undefined && (BINARY_URL.test(value) || (value.length > MAX_ID_CHARS && BASE64.test(value)))) {
    return { edits: [], blocked: undefined, isUninspectable: true };
  }
  const judged = await judgeTexts(guard, [{ text: media?.text ?? value, start, end }]);
  const edits = judged.edits.map((edit) =>
    media === undefined
      ? edit
      : { ...edit, literal: JSON.stringify(media.withText(JSON.parse(edit.literal) as string)) },
  );
  return { ...judged, edits, isUninspectable: media === undefined };
}

const MAX_ID_CHARS = 128;
const BASE64 = /^[A-Za-z0-9+/_=\s-]*$/;
const BINARY_URL = /^data:(?:application|audio|font|image|text|video)\/[\w.+-]{1,80};base64,[A-Za-z0-9+/_=\s-]*$/i;

/** Both names of one role are the same role. */
function roleOf(value: string): string {
  const role = value.trim().toLowerCase();
  return role === "developer" ? "system" : role;
}

/** Nothing that a model would read. */
const HIDDEN = /^[\p{Default_Ignorable_Code_Point}\p{Cc}]*$/u;

/** The parts of consecutive messages of one role; messages without text do not come between. */
function runsOf(messages: readonly { readonly role: string; readonly parts: readonly Part[] }[]): readonly Part[][] {
  const runs: Part[][] = [];
  let last: string | undefined;
  for (const { role, parts } of messages) {
    if (parts.every(({ text }) => HIDDEN.test(text))) continue;
    const run = role !== "" && role === last ? runs.at(-1) : undefined;
    if (run === undefined) runs.push([...parts]);
    else for (const part of parts) run.push(part);
    last = role;
  }
  return runs;
}

/** A string or a name as it reads, a number as it is written. */
export function valueOf({ kind, start, end }: JsonText, json: string): string {
  const literal = json.slice(start, end);
  if (kind !== "number") return JSON.parse(literal) as string;
  // Other spellings of a whole number read like it.
  const number = Number(literal);
  return !/^-?\d+$/.test(literal) && Number.isSafeInteger(number) ? String(number) : literal;
}
