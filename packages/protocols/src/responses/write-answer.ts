import { isFunction, NO_ARGUMENTS } from "../function-arguments.ts";
import type { JsonObject } from "../json.ts";
import type { NeutralAnswer, Stop } from "../model.ts";
import type { WholeHead } from "../whole-head.ts";
import { addPart, fromAnswerPart, type ItemPart, type OutputItem, writeItem } from "./output-items.ts";
import { endOf, responseObject, type Status } from "./response-object.ts";

/** Writes a whole answer as a response object. */
export function writeResponsesAnswer(answer: NeutralAnswer & WholeHead): JsonObject {
  const { parts, stop, usage } = answer;
  const items: OutputItem[] = [];
  for (const part of parts) addPart(items, withArguments(fromAnswerPart(part)), answer);
  const hasRefusal = parts.some(({ type }) => type === "refusal");
  const explanation = explanationOf(stop, hasRefusal);
  if (explanation !== undefined) addPart(items, { start: { type: "refusal" }, text: explanation }, answer);
  const { status, incomplete } = endOf(stop, hasRefusal || explanation !== undefined);
  const output = items.map((item) => writeItem(item, status === "completed" ? "completed" : statusOf(item, items)));
  return responseObject(answer, { status, output, usage, incomplete });
}

/** Explanation of a refusal, which becomes a refusal part if the answer has none. */
export function explanationOf({ reason, explanation }: Stop, hasRefusal: boolean): string | undefined {
  return reason !== "refusal" || hasRefusal || explanation === "" ? undefined : explanation;
}

/** Status of an item of an incomplete response: its last item was cut off. */
function statusOf({ position }: OutputItem, items: readonly OutputItem[]): Status {
  return position === items.length - 1 ? "incomplete" : "completed";
}

function withArguments(part: ItemPart): ItemPart {
  return isFunction(part.start) && part.text === "" ? { ...part, text: NO_ARGUMENTS } : part;
}
