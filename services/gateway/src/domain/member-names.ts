import { elementsOf, type Member, membersOf, topLevelMembers } from "./json-members.ts";
import { badField } from "./refusal.ts";

/**
 * Refusal of member names that an upstream may read differently than the gateway. JSON.parse takes the last of several
 * members of a name, others take the first; Go's encoding/json matches names without regard to case, and folds U+017F to s
 * and U+212A to k. Wherever the gateway reads a member, a name is printable ASCII, written once and in lower case.
 */

interface NameRules {
  /** Names that must be written in lower case. */
  readonly known: ReadonlySet<string>;
  /** Whether a name, in lower case, must not be given twice. By default none may. */
  readonly isUnique?: (name: string) => boolean;
}

const MESSAGE: NameRules = {
  known: new Set([
    "role",
    "content",
    "name",
    "refusal",
    "audio",
    "images",
    "annotations",
    "tool_calls",
    "tool_call_id",
    "function_call",
  ]),
};
const PART: NameRules = { known: new Set(["type", "text", "refusal", "image_url", "input_audio", "file"]) };
/** Objects within a part. */
const MEDIA: NameRules = { known: new Set(["url", "detail", "format", "data", "file_id", "file_data", "filename"]) };
const MEDIA_MEMBERS = new Set(["image_url", "input_audio", "file"]);
const TOOL: NameRules = { known: new Set(["type", "function", "custom"]) };
const STREAM_OPTIONS: NameRules = { known: new Set(["include_usage"]) };

const MAX_NAME_LENGTH = 60;

/**
 * Checks the top level of a request, its messages, their parts and media, its tools and its stream options, in time linear
 * in the text. Schemas of tools and anything unknown may hold any names.
 *
 * @param text a valid JSON object: the caller has parsed it
 * @param known names of the top level that must be written in lower case
 * @param isUnique whether another name of the top level, in lower case, must not be given twice
 * @returns the members of the top level
 * @throws Refusal 400 that names the member
 */
export function checkMemberNames(
  text: string,
  known: ReadonlySet<string>,
  isUnique: (name: string) => boolean,
): readonly Member[] {
  const members = topLevelMembers(text);
  checkNames(members, "", { known, isUnique: (name) => known.has(name) || isUnique(name) });
  for (const { key, start } of members) {
    if (key === "messages") forEachObject(text, start, key, checkMessage);
    if (key === "tools") forEachObject(text, start, key, (_, path, tool) => checkNames(tool, path, TOOL));
    if (key === "stream_options" && text[start] === "{") checkNames(membersOf(text, start), key, STREAM_OPTIONS);
  }
  return members;
}

function checkMessage(text: string, path: string, members: readonly Member[]): void {
  checkNames(members, path, MESSAGE);
  for (const { key, start } of members) if (key === "content") forEachObject(text, start, `${path}.content`, checkPart);
}

function checkPart(text: string, path: string, members: readonly Member[]): void {
  checkNames(members, path, PART);
  for (const { key, start } of members) {
    const isMedia = MEDIA_MEMBERS.has(key) && text[start] === "{";
    if (isMedia) checkNames(membersOf(text, start), `${path}.${key}`, MEDIA);
  }
}

/** Calls `check` for each object of the array that starts at `from`, if there is one. */
function forEachObject(
  text: string,
  from: number,
  path: string,
  check: (text: string, path: string, members: readonly Member[]) => void,
): void {
  if (text[from] !== "[") return;
  elementsOf(text, from).forEach((start, index) => {
    if (text[start] === "{") check(text, `${path}[${index}]`, membersOf(text, start));
  });
}

function checkNames(members: readonly Member[], path: string, { known, isUnique }: NameRules): void {
  const seen = new Set<string>();
  for (const { key } of members) {
    const pathOf = (name: string): string => (path === "" ? "" : `${path}.`) + name.slice(0, MAX_NAME_LENGTH);
    if (!isPrintable(key)) throw badField(pathOf(key), "must be written in printable ASCII");
    const name = key.toLowerCase();
    if (isUnique?.(name) ?? true) {
      if (seen.has(name)) throw badField(pathOf(name), "is given twice");
      seen.add(name);
    }
    if (key !== name && known.has(name)) throw badField(pathOf(key), `must be written '${name}'`);
  }
}

/** Of ASCII alone; parsers written in C end a name at a NUL. */
function isPrintable(name: string): boolean {
  return /^[\x20-\x7e]*$/.test(name);
}
