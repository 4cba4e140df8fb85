/** Conversion of whole answers to neutral streams and back, as simple as their types allow. */
import fc from "fast-check";
import type { AnswerPart, NeutralAnswer, PartStart, Stop, StreamEvent, ThinkingSeal, Usage } from "../src/model.ts";

const text = fc.string({ unit: fc.constantFrom("a", "é", "😀", " ", "\n", '"', "{", "}"), maxLength: 8 });
const textPart = fc.record({ type: fc.constantFrom("text" as const, "refusal" as const), text, at: fc.constant("") });
const thinkingPart = fc.record(
  {
    type: fc.constant("thinking" as const),
    text,
    at: fc.constant(""),
    seal: fc.record({
      wire: fc.constantFrom("messages" as const, "chat" as const),
      kind: fc.constantFrom("signature" as const, "encrypted" as const),
      value: fc.string({ minLength: 1, maxLength: 8 }),
    }),
  },
  { requiredKeys: ["type", "text", "at"] },
);
const toolCallPart = fc.record({
  type: fc.constant("tool_call" as const),
  id: fc.constantFrom("call_", "toolu_"),
  name: fc.constantFrom("look_up", "run"),
  arguments: fc.constantFrom('{"a":1}', '{"big":12345678901234567890}', "{}"),
  kind: fc.constantFrom("function" as const, "custom" as const),
  at: fc.constant(""),
});

const count = fc.nat({ max: 1_000 });
const usage: fc.Arbitrary<Usage> = fc
  .record({
    rest: count,
    cachedInput: count,
    cacheWrite5m: count,
    cacheWrite1h: count,
    output: count,
    reasoning: count,
  })
  .map(({ rest, cachedInput, cacheWrite5m, cacheWrite1h, output, reasoning }) => {
    const cacheWrite = cacheWrite5m + cacheWrite1h;
    const input = rest + cachedInput + cacheWrite;
    return { input, cachedInput, cacheWrite, cacheWrite5m, cacheWrite1h, output, reasoning };
  });

const stop: fc.Arbitrary<Stop> = fc.constantFrom<Stop>(
  { reason: "end" },
  { reason: "tool_calls" },
  { reason: "output_limit" },
  { reason: "content_filter" },
  { reason: "stop_sequence", sequence: "END" },
  { reason: "refusal", explanation: "not this" },
  { reason: "refusal" },
  { reason: "pause" },
  { reason: "context_limit" },
  {},
);

/** Parts as a generator makes them, with absent members set to undefined. */
type AnyPart =
  | AnswerPart
  | (Omit<Extract<AnswerPart, { type: "thinking" }>, "seal"> & { seal?: ThinkingSeal | undefined });

/** Parts whose tool calls have different ids. */
function withOwnIds(parts: readonly AnyPart[]): AnswerPart[] {
  return parts.map((part, index) =>
    part.type === "tool_call" ? { ...part, id: `${part.id}${index}` } : (part as AnswerPart),
  );
}

/** Whole answers with parts in any order. */
export const answers: fc.Arbitrary<NeutralAnswer> = fc.record({
  id: fc.constantFrom("resp_1", "msg_01", "chatcmpl-1"),
  model: fc.constant("m"),
  createdAt: fc.constant(1_700_000_000),
  parts: fc.array(fc.oneof(textPart, thinkingPart, toolCallPart), { maxLength: 5 }).map(withOwnIds),
  stop,
  usage,
});

/** Events of an answer. Parts start in their order; `choices` mixes their pieces. */
export function eventsOf(answer: NeutralAnswer, choices: readonly number[]): readonly StreamEvent[] {
  const { id, model, createdAt, parts, stop, usage } = answer;
  const queues = parts.map((part, index) => piecesOf(part, index));
  const events: StreamEvent[] = [];
  let started = 0;
  let turn = 0;
  for (;;) {
    const going = queues.slice(0, started + 1).flatMap((queue, index) => (queue.length > 0 ? [index] : []));
    if (going.length === 0) break;
    const choice = choices[turn++ % Math.max(1, choices.length)] ?? 0;
    const index = going[choice % going.length] ?? 0;
    const event = queues[index]?.shift();
    if (event !== undefined) events.push(event);
    if (index === started && started < queues.length - 1) started++;
  }
  return [
    { type: "start", id, model, ...(createdAt !== undefined && { createdAt }) },
    ...events,
    ...(usage === undefined ? [] : [{ type: "usage" as const, usage }]),
    { type: "stop", stop },
    { type: "end" },
  ];
}

function piecesOf(part: AnswerPart, index: number): StreamEvent[] {
  const whole = part.type === "tool_call" ? part.arguments : part.text;
  const deltas = Array.from(whole).map((text): StreamEvent => ({ type: "part_delta", index, text }));
  return [
    { type: "part_start", index, part: startOf(part) },
    ...deltas,
    ...(part.type === "thinking" && part.seal !== undefined
      ? [{ type: "part_seal" as const, index, seal: part.seal }]
      : []),
    { type: "part_end", index },
  ];
}

function startOf(part: AnswerPart): PartStart {
  if (part.type !== "tool_call") return { type: part.type };
  const { type, id, name, kind } = part;
  return { type, id, name, kind };
}

/** Whole answer from the events of a complete stream. */
export function assemble(events: readonly StreamEvent[]): NeutralAnswer {
  let head: Pick<NeutralAnswer, "id" | "model" | "createdAt" | "serviceTier"> = { id: "", model: "" };
  const parts: AnswerPart[] = [];
  const usage: Partial<Usage> = {};
  let stop: Stop = {};
  for (const event of events) {
    if (event.type === "start") {
      const { type: _type, ...members } = event;
      head = members;
    } else if (event.type === "part_start") {
      const { part } = event;
      parts[event.index] =
        part.type === "tool_call" ? { ...part, arguments: "", at: "" } : { type: part.type, text: "", at: "" };
    } else if (event.type === "part_delta") {
      const part = parts[event.index];
      if (part?.type === "tool_call") parts[event.index] = { ...part, arguments: part.arguments + event.text };
      else if (part !== undefined) parts[event.index] = { ...part, text: part.text + event.text };
    } else if (event.type === "part_seal") {
      const part = parts[event.index];
      if (part?.type === "thinking") parts[event.index] = { ...part, seal: event.seal };
    } else if (event.type === "usage") Object.assign(usage, event.usage);
    else if (event.type === "stop") ({ stop } = event);
  }
  return { ...head, parts, stop, ...(Object.keys(usage).length > 0 && { usage }) };
}
