import { describe, expect, it } from "vitest";
import { answeringUpstream } from "../../../test/fake-upstream.ts";
import { BODY, MICRO, reservationOf, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { fakeReply } from "../../../test/fake-reply.ts";
import type { CancelReason } from "../ports/reply.ts";
import { UpstreamFault } from "../ports/upstream.ts";
import { UNNOTICED_TOKENS } from "./usage-estimate.ts";

const PROMPT_TOKENS = 10;
const PIECES = 6;
const STREAM = { ...BODY, max_tokens: 300, stream: true };
const DONE = "data: [DONE]\n\n";

type Usage = Readonly<Record<"prompt_tokens" | "completion_tokens", number>>;
const usageOf = (completionTokens: number): Usage => ({
  prompt_tokens: PROMPT_TOKENS,
  completion_tokens: completionTokens,
});
const event = (chunk: object): string => `data: ${JSON.stringify(chunk)}\n\n`;
const piece = (index: number, usage?: Usage, finishReason: unknown = null): string =>
  event({ choices: [{ index, delta: { content: " word" }, finish_reason: finishReason }], usage });
const finish = (index: number, usage?: Usage): string =>
  event({ choices: [{ index, delta: {}, finish_reason: "stop" }], usage });
const usageAlone = (usage: Usage): string => event({ choices: [], usage });

/** Events of a complete stream of `n` choices, whose final count is `PIECES * n`, by where the upstream reports usage. */
const DIALECTS: Readonly<Record<string, (n: number) => readonly string[]>> = {
  "once, in a chunk of its own after the last choice": (n) => [...choices(n), usageAlone(usageOf(PIECES * n))],
  "once, in the chunk that finishes the last choice": (n) =>
    choices(n, { atFinish: (index) => (index === n - 1 ? usageOf(PIECES * n) : undefined) }),
  "early, in a chunk of its own": (n) => [usageAlone(usageOf(0)), ...choices(n), usageAlone(usageOf(PIECES * n))],
  "early, with the first piece": (n) => [
    ...choices(n, { atPiece: (_, at) => (at === 0 ? usageOf(1) : undefined) }),
    usageAlone(usageOf(PIECES * n)),
  ],
  "in every chunk, so far": (n) => choices(n, { atPiece: soFar, atFinish: (index) => usageOf((index + 1) * PIECES) }),
  "in every chunk, as zeros until the end": (n) => [
    ...choices(n, { atPiece: () => ZEROS, atFinish: () => ZEROS }),
    usageAlone(usageOf(PIECES * n)),
  ],
  "at the end, from a server that finishes no choice": (n) => [
    ...choices(n).filter((event) => !event.includes('"stop"')),
    usageAlone(usageOf(PIECES * n)),
  ],
  "in every chunk, from a server that writes an empty finish_reason before the end": (n) => [
    ...choices(n, { atPiece: soFar, unfinished: "" }),
    usageAlone(usageOf(PIECES * n)),
  ],
};

const ZEROS: Usage = { prompt_tokens: 0, completion_tokens: 0 };
const soFar = (index: number, at: number): Usage => usageOf(index * PIECES + at + 1);

interface Reported {
  readonly atPiece?: (index: number, at: number) => Usage | undefined;
  readonly atFinish?: (index: number) => Usage | undefined;
  readonly unfinished?: string;
}

/** Order of events in which each choice ends before the next one begins. */
function choices(n: number, { atPiece, atFinish, unfinished }: Reported = {}): readonly string[] {
  return Array.from({ length: n }, (_, index) =>
    Array.from({ length: PIECES }, (_, at) => piece(index, atPiece?.(index, at), unfinished)).concat(
      finish(index, atFinish?.(index)),
    ),
  ).flat();
}

/** Charge for a stream that ends after these events: the client leaves, a time-out passes, or the upstream fails. */
async function chargeFor(events: readonly string[], n: number, end: CancelReason | "dies") {
  const reply = fakeReply();
  async function* body(): AsyncGenerator<Uint8Array> {
    for (const each of events) yield Buffer.from(each);
    if (end !== "dies") reply.cancel(end);
    throw new UpstreamFault("broken", "broken off");
  }
  const { serve, budget, usage } = pipelineUnderTest({
    upstream: answeringUpstream("text/event-stream", [], { body: body() }),
  });
  await serve({ ...STREAM, n }, reply);
  const [settlement] = usage.settlements;
  expect(budget).toMatchObject({ reservedNano: 0n, spentNano: settlement?.costNanoUsd });
  return { costMicroUsd: Number((settlement?.costNanoUsd ?? 0n) / MICRO), estimated: settlement?.estimated };
}

const isPiece = (text: string): boolean => text.includes('"content"');

describe.each(Object.keys(DIALECTS))("usage that is reported %s", (dialect) => {
  describe.each([1, 2])("of %i choices", (n) => {
    const events = DIALECTS[dialect]?.(n) ?? [];
    const exact = PROMPT_TOKENS + 2 * PIECES * n;

    it.each(["client_gone", "too_long", "api_key_revoked", "dies"] as const)(
      "never charges less than was passed on, wherever the stream ends because of %s",
      async (end) => {
        for (let length = 0; length <= events.length; length++) {
          const passed = events.slice(0, length);
          const counted = PROMPT_TOKENS + 2 * passed.filter(isPiece).length;
          const { costMicroUsd, estimated } = await chargeFor(passed, n, end);
          expect(costMicroUsd, `after ${length} events`).toBeGreaterThanOrEqual(counted);
          if (costMicroUsd < exact) throw new Error(`after ${length} events: less than the answer costs`);
          if (!estimated) expect(costMicroUsd).toBe(exact);
        }
      },
    );

    it("charges the exact usage once the stream is whole", async () => {
      expect(await chargeFor([...events, DONE], n, "dies")).toEqual({ costMicroUsd: exact, estimated: false });
      expect(await chargeFor([...events, DONE], n, "client_gone")).toEqual({ costMicroUsd: exact, estimated: false });
    });
  });
});

describe("usage of a stream that ends early", () => {
  /** Bound of the input. */
  const counted = Number(reservationOf(STREAM) / MICRO) - 6;

  it("is exact once every choice is finished, though [DONE] never comes", async () => {
    const events = [piece(0), finish(0), usageAlone(usageOf(1))];
    expect(await chargeFor(events, 1, "client_gone")).toEqual({ costMicroUsd: 12, estimated: false });
  });

  it("is exact where it comes before the end of its choice, and no text follows it", async () => {
    const events = [piece(0), usageAlone(usageOf(1)), finish(0)];
    expect(await chargeFor(events, 1, "client_gone")).toEqual({ costMicroUsd: 12, estimated: false });
  });

  it("is exact where it is improbably low, as long as it is possible: the provider bills what it reports", async () => {
    const events = [...Array<string>(9).fill(piece(0)), finish(0), usageAlone(usageOf(1)), DONE];
    expect(await chargeFor(events, 1, "client_gone")).toEqual({ costMicroUsd: 12, estimated: false });
  });

  it("is not wiped by zeros after it", async () => {
    const events = [usageAlone(ZEROS), piece(0), finish(0, usageOf(1)), usageAlone(ZEROS), DONE];
    expect(await chargeFor(events, 1, "dies")).toEqual({ costMicroUsd: 12, estimated: false });
  });

  it.each<[string, number, number, readonly string[]]>([
    ["is in a chunk of its own before the answer", 1, UNNOTICED_TOKENS, [usageAlone(usageOf(0)), piece(0)]],
    ["came before one of the choices was finished", 2, 2 * UNNOTICED_TOKENS, [finish(0), usageAlone(usageOf(4))]],
    ["came before text that follows the end of its choice", 1, UNNOTICED_TOKENS, [finish(0, usageOf(1)), piece(0)]],
    ["has no output although text was passed on", 1, 0, [piece(0), finish(0), usageAlone(usageOf(0))]],
    ["shrinks", 1, 0, [piece(0, usageOf(4)), finish(0), usageAlone(usageOf(2))]],
    [
      "has fewer tokens than text of its length can have",
      1,
      0,
      [...Array<string>(26).fill(piece(0)), finish(0), usageAlone(usageOf(1))],
    ],
    ["comes with the end of a choice that was not requested", 1, UNNOTICED_TOKENS, [finish(7, usageOf(1))]],
  ])("is estimated by what is known if it %s", async (_, n, unnoticed, events) => {
    const { costMicroUsd, estimated } = await chargeFor(events, n, "client_gone");
    expect(estimated).toBe(true);
    const delivered = events.filter(isPiece).length;
    expect(costMicroUsd).toBeGreaterThanOrEqual(PROMPT_TOKENS + 2 * (delivered + unnoticed));
    expect(costMicroUsd).toBeLessThan(counted + 2 * STREAM.max_tokens);
  });

  it.each<[string, readonly string[]]>([
    ["counts no input", [piece(0), finish(0), usageAlone({ prompt_tokens: 0, completion_tokens: 1 })]],
    ["is zeros", [piece(0), finish(0), usageAlone(ZEROS)]],
    ["is absent", [piece(0), finish(0)]],
  ])("is estimated by the input as counted if it %s", async (_, events) => {
    const { costMicroUsd, estimated } = await chargeFor(events, 1, "client_gone");
    expect(estimated).toBe(true);
    expect(costMicroUsd).toBeGreaterThanOrEqual(counted + 2);
  });

  it("is estimated as more than the reservation if the upstream has said more by then", async () => {
    const { costMicroUsd, estimated } = await chargeFor(
      [piece(0, { prompt_tokens: 5_000, completion_tokens: 400 })],
      1,
      "client_gone",
    );
    expect({ costMicroUsd, estimated }).toEqual({ costMicroUsd: 5_000 + 800, estimated: true });
  });
});

describe("a whole answer", () => {
  const serveWhole = async (answer: object) => {
    const upstream = answeringUpstream("application/json", [JSON.stringify(answer)]);
    const { serve, usage } = pipelineUnderTest({ upstream });
    await serve({ ...BODY, max_tokens: 300 });
    return usage.settlements[0];
  };
  const counted = Number(reservationOf(BODY) / MICRO) - 6;

  it("that has text and reports no output is estimated by its text", async () => {
    const message = { content: "hello" };
    const settlement = await serveWhole({ choices: [{ message }], usage: { prompt_tokens: 0, completion_tokens: 0 } });
    expect(settlement).toMatchObject({ outcome: "succeeded", estimated: true, promptTokens: counted });
    expect(settlement?.completionTokens).toBeGreaterThanOrEqual(2);
    expect(settlement?.completionTokens).toBeLessThan(300);
  });

  it("that has nothing and reports nothing costs nothing, and is not estimated", async () => {
    const choices = [{ message: { role: "assistant", content: "" }, finish_reason: "content_filter" }];
    const settlement = await serveWhole({ choices, usage: { prompt_tokens: 0, completion_tokens: 0 } });
    expect(settlement).toMatchObject({ estimated: false, costNanoUsd: 0n });
  });

  it.each<[string, object]>([
    ["tool-call arguments", { tool_calls: [{ id: "call_1", function: { name: "f", arguments: "x".repeat(400) } }] }],
    ["thinking blocks", { thinking_blocks: [{ type: "thinking", thinking: "x".repeat(400) }] }],
    ["reasoning details", { reasoning_details: [{ type: "reasoning.encrypted", data2: "x".repeat(400) }] }],
    ["a member that nobody knows", { novelty: { deep: ["x".repeat(400)] } }],
  ])("without usage is charged for %s", async (_, message) => {
    const settlement = await serveWhole({ choices: [{ message }] });
    expect(settlement?.completionTokens).toBeGreaterThanOrEqual(50);
    expect(settlement?.completionTokens).toBeLessThan(300);
  });

  it("whose text comes under two names is charged for it once", async () => {
    const text = "word ".repeat(100);
    const twice = { reasoning: text, reasoning_content: text, reasoning_details: [{ text }], content: "" };
    const settlement = await serveWhole({ choices: [{ message: twice }] });
    expect(settlement?.completionTokens).toBeLessThan(150);
  });
});
