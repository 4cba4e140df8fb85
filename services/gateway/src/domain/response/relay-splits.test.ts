import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { answeringUpstream, breakingAfter } from "../../../test/fake-upstream.ts";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";
import { BODY, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { UpstreamFault } from "../ports/upstream.ts";

/** Any split of an answer's bytes into chunks gives the client the same bytes, and the request the same row. */

const STREAM = { ...BODY, max_tokens: 50, n: 2, stream: true };

const data = (chunk: object): string => `data: ${JSON.stringify(chunk)}`;
const USAGE = { prompt_tokens: 4, completion_tokens: 2 };
const index = fc.constantFrom(0, 1);
const text = fc.constantFrom("a", "é€😀", "", "secret", "sec", "ret", "\u{2028}");

const event = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(index, text).map(([index, content]) => data({ choices: [{ index, delta: { content } }] })),
  },
  { weight: 3, arbitrary: index.map((index) => data({ choices: [{ index, delta: {}, finish_reason: "stop" }] })) },
  { weight: 2, arbitrary: fc.constant(data({ choices: [], usage: USAGE })) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(": comment", ":", "event: x\ndata: {}", "id: 1", "data", "foo: bar", "data: not json"),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      data({ error: { message: "m", code: 429 } }),
      data([{ error: { message: "m" } }] as object),
      "event: error\ndata: {}",
      data({ choices: [{ index: 0, delta: {}, finish_reason: "error" }] }),
      data({ choices: [], x: "[".repeat(70) }),
      `data: {"choices":[],"x":${"[".repeat(70)}${"]".repeat(70)}}`,
    ),
  },
);
const end = fc.constantFrom(
  "data: [DONE]",
  "data:[DONE]",
  "data: [done]",
  "event: done\ndata: {}",
  "data: [DONE]\n\ndata: {}",
  undefined,
);
const lineEnd = fc.constantFrom("\n", "\r\n", "\r");

/** Streams, well-formed and not; `isBroken` if the connection fails at the end. */
const stream = fc
  .record({
    mark: fc.constantFrom("", "\u{FEFF}", "\n"),
    events: fc.array(fc.tuple(event, lineEnd), { maxLength: 8 }),
    end,
    rest: fc.constantFrom("", "data: {", "data: {}", data({ choices: [], usage: USAGE })),
    isBroken: fc.boolean(),
  })
  .map(({ mark, events, end, rest, isBroken }) => {
    const written = events.map(([event, lineEnd]) => `${event}\n\n`.replaceAll("\n", lineEnd)).join("");
    return { bytes: Buffer.from(`${mark}${written}${end === undefined ? "" : `${end}\n\n`}${rest}`), isBroken };
  });

/** Whole answers: completions, errors, and what is neither. */
const whole = fc
  .record({
    mark: fc.constantFrom("", "\u{FEFF}", "\r\n"),
    text: fc.constantFrom(
      JSON.stringify({
        choices: [{ index: 0, message: { content: "a secret é" }, finish_reason: "stop" }],
        usage: USAGE,
      }),
      JSON.stringify({ error: { message: "m", code: 400 } }),
      '{"choices":[',
      "<html>",
      "",
      "[]",
      "null",
    ),
    isBroken: fc.boolean(),
  })
  .map(({ mark, text, isBroken }) => ({ bytes: Buffer.from(mark + text), isBroken }));

const cuts = fc.array(fc.nat({ max: 2_000 }), { maxLength: 12 });

function splitAt(bytes: Buffer, cuts: readonly number[]): readonly Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return at.slice(1).map((to, index) => bytes.subarray(at[index], to));
}

async function outcomeOf(chunks: readonly Buffer[], isBroken: boolean, body: object, type: string, isGuarded: boolean) {
  async function* sent(): AsyncGenerator<Uint8Array> {
    yield* chunks;
    if (isBroken) throw new UpstreamFault("broken", "reset");
  }
  const contentPatterns = [{ name: "s", pattern: "secret", action: "redact" as const, appliesTo: "response" as const }];
  const guardrails = fakeGuardrailDirectory(isGuarded ? [{ contentPatterns }] : []);
  const upstream = answeringUpstream(type, [], { body: sent() });
  const { serve, usage } = pipelineUnderTest({ upstream, guardrails });
  const { reply, refusal } = await serve(body);
  const [settlement] = usage.settlements;
  const { outcome, errorCode, httpStatus, estimated, upstreamError } = settlement ?? {};
  // What an estimate adds for the time that passed differs from run to run.
  const costNanoUsd = estimated === true ? undefined : settlement?.costNanoUsd;
  const row = { outcome, errorCode, httpStatus, costNanoUsd, estimated, upstreamError };
  return {
    text: reply.text,
    status: reply.status,
    refusal: [refusal?.status, refusal?.code, refusal?.message, refusal?.retryable],
    row,
  };
}

describe("an answer in any chunks", () => {
  const type = fc.constantFrom("text/event-stream", "text/plain", "application/json", "");
  const body = fc.constantFrom(
    STREAM,
    { ...STREAM, stream: false },
    { ...STREAM, stream_options: { include_usage: true } },
  );

  it("gives the client the same bytes, and the request the same row", async () => {
    const cases = fc.tuple(fc.oneof({ weight: 4, arbitrary: stream }, whole), cuts, body, type, fc.boolean());
    await fc.assert(
      fc.asyncProperty(cases, async ([{ bytes, isBroken }, cuts, body, type, isGuarded]) => {
        const whole = await outcomeOf([bytes], isBroken, body, type, isGuarded);
        expect(await outcomeOf(splitAt(bytes, cuts), isBroken, body, type, isGuarded)).toEqual(whole);
      }),
      { numRuns: 150 },
    );
  }, 120_000);

  it("gives the same byte by byte", async () => {
    await fc.assert(
      fc.asyncProperty(stream, fc.boolean(), async ({ bytes, isBroken }, isGuarded) => {
        const single = Array.from(bytes, (byte) => Buffer.from([byte]));
        const whole = await outcomeOf([bytes], isBroken, STREAM, "text/event-stream", isGuarded);
        expect(await outcomeOf(single, isBroken, STREAM, "text/event-stream", isGuarded)).toEqual(whole);
      }),
      { numRuns: 30 },
    );
  }, 120_000);

  it("is whole, or ends with an error: never neither, and never both", async () => {
    await fc.assert(
      fc.asyncProperty(stream, async ({ bytes, isBroken }) => {
        const { text, row } = await outcomeOf([bytes], isBroken, STREAM, "text/event-stream", false);
        if (text === "") return;
        const isDone = /data: ?\[DONE\](?:\r\n|\r|\n){2}$/.test(text);
        const isError = /data: \{"error":\{[^\n]*\n\n$/.test(text);
        if (row.errorCode !== "upstream_error") expect([isDone, isError].filter(Boolean)).toHaveLength(1);
        if (row.outcome === "succeeded") expect(isDone).toBe(true);
      }),
      { numRuns: 100 },
    );
  }, 120_000);
});

it("a break in the first event is a status, wherever it comes", async () => {
  for (const part of ["d", "data", "data: {", ": x\n\n", "event: a\n"]) {
    const upstream = answeringUpstream("text/event-stream", [], { body: breakingAfter(part) });
    const { refusal, reply } = await pipelineUnderTest({ upstream }).serve(STREAM);
    expect(refusal).toMatchObject({ status: 502, code: "upstream_error" });
    expect(reply.begun).toBe(false);
  }
});
