import { answeringUpstream } from "./fake-upstream.ts";
import type { FakeGuardrailDirectory } from "./fake-guardrail-directory.ts";
import { BODY, MICRO, pipelineUnderTest } from "./pipeline-under-test.ts";

/** Answers of an upstream, and the pipeline that relays them. */

export const BOM = "\u{FEFF}";
export const DONE = "data: [DONE]\n\n";
export const STREAM = { ...BODY, stream: true };
export const USAGE = { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 };
/** Cost of `USAGE`. */
export const COST = 5n * MICRO;
export const HEAD = { id: "c-1", created: 7, model: "echo" };

/** Whole answer. */
export const COMPLETION = {
  ...HEAD,
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "hello", refusal: null }, finish_reason: "stop" }],
  usage: USAGE,
};

export function event(chunk: object): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}

export function chunk(delta: object, finishReason: string | null = null): object {
  return { ...HEAD, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: finishReason }] };
}

/** The same answer as a stream: a head, two pieces of text, the finish, the usage and the end. */
export const CHUNKS: readonly string[] = [
  event(chunk({ role: "assistant", content: "" })),
  event(chunk({ content: "hel" })),
  event(chunk({ content: "lo" })),
  event(chunk({}, "stop")),
  event({ ...HEAD, object: "chat.completion.chunk", choices: [], usage: USAGE }),
  DONE,
];

interface Relayed {
  /** Request; `BODY` by default. */
  readonly body?: object;
  /** Media type of the answer; JSON by default. */
  readonly type?: string;
  /** Body of the answer, in the chunks in which it arrives. */
  readonly parts: readonly string[];
  readonly guardrails?: FakeGuardrailDirectory;
  readonly retryAfter?: string;
}

/** Serves a request to which the upstream answers with these bytes. */
export async function relayed({ body = BODY, type = "application/json", parts, guardrails, retryAfter }: Relayed) {
  const upstream = answeringUpstream(type, parts, { ...(retryAfter !== undefined && { retryAfter }) });
  const served = pipelineUnderTest({ upstream, ...(guardrails && { guardrails }) });
  const { reply, refusal } = await served.serve(body);
  const [settlement] = served.usage.settlements;
  return { reply, refusal, settlement, spentNano: served.budget.spentNano };
}

/** Data of the events of a stream. */
export function dataOf(text: string): readonly string[] {
  return Array.from(text.matchAll(/^data: (.*)$/gm), ([, data = ""]) => data);
}
