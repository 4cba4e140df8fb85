import { effectOf, isHarmless } from "../request/governed-members.ts";
import type { InputCollector } from "../request/input-collector.ts";
import type { ParsedBody } from "./request-format.ts";

/** Members of a wire, by what models read of them. */
export interface MemberKinds {
  /** Members that are collected otherwise. */
  readonly collected: ReadonlySet<string>;
  /** Members whose JSON models read as text. */
  readonly texts: ReadonlySet<string>;
  /** Members that models do not read, but for a word, where their value is short. */
  readonly parameters: ReadonlySet<string>;
  /** Members that the gateway reads: see `RequestFormat`. */
  readonly readMembers: ReadonlySet<string>;
}

/** Bound of the value of a parameter. */
const MAX_PARAMETER_CHARS = 80;

/** Collects the members other than the messages. Those that add input count as a file each: the operator has allowed them. */
export function collectMembers({ body, text, members }: ParsedBody, kinds: MemberKinds, input: InputCollector): void {
  for (const { key, start, end } of members) {
    const name = key.toLowerCase();
    if (key === "model" || kinds.collected.has(key)) continue;
    if (kinds.parameters.has(key) && end - start <= MAX_PARAMETER_CHARS) continue;
    const json = text.slice(start, end);
    if (kinds.texts.has(key)) input.addText(json);
    else input.addOther(key + json);
    if (effectOf(name, kinds.readMembers) !== "input" || isHarmless(name, body[key], kinds.readMembers)) continue;
    input.addMedium({ kind: "file", base64: undefined, mediaType: undefined });
  }
}
