/**
 * Conformance of the gateway with the dialects of `dialects/`: one file each, with an upstream's answer, whole and as a stream, and the
 * usage to charge for it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { Settlement } from "../src/domain/ports/usage-log.ts";
import { createModelDirectory, type Model } from "../src/domain/request/model-directory.ts";
import type { CancelReason } from "../src/domain/ports/reply.ts";
import { UpstreamFault } from "../src/domain/ports/upstream.ts";
import { fakeReply } from "./fake-reply.ts";
import { answeringUpstream } from "./fake-upstream.ts";
import { BODY, MICRO, pipelineUnderTest } from "./pipeline-under-test.ts";

/** Names of counts in a dialect's file, and in a settlement. */
const COUNTS = {
  prompt: "promptTokens",
  completion: "completionTokens",
  cached: "cachedPromptTokens",
  cache_write: "cacheWriteTokens",
  prompt_audio: "promptAudioTokens",
  completion_audio: "completionAudioTokens",
  reasoning: "reasoningTokens",
} as const satisfies Readonly<Record<string, keyof Settlement>>;

/** One file of `dialects/`. */
interface Dialect {
  readonly name: string;
  /** Address of the documentation or report that it is from. */
  readonly source: string;
  /** Usage that is charged. A missing count is not reported by the upstream. */
  readonly usage: Readonly<Partial<Record<keyof typeof COUNTS, number>>>;
  /** Service tier that the answer is billed by. */
  readonly service_tier?: string;
  /** Bound of the output, 4,096 if it is missing. */
  readonly max_tokens?: number;
  readonly answer?: object;
  /** Events of a stream: an object or a text is the data of one, a text that begins with a colon is a comment. */
  readonly stream?: readonly (object | string)[];
}

/** Model with a price for every part of the tokens, equal to the price of the whole. */
const INPUT = 1_000_000n;
const OUTPUT = 2n * INPUT;
const RATES = {
  inputPicoUsd: INPUT,
  cachedInputPicoUsd: INPUT,
  cacheWritePicoUsd: INPUT,
  inputAudioPicoUsd: INPUT,
  outputPicoUsd: OUTPUT,
  outputAudioPicoUsd: OUTPUT,
  reasoningPicoUsd: OUTPUT,
};
const MODEL: Model = {
  provider: "echo",
  id: "echo",
  prices: [{ aboveInputTokens: 0, price: RATES }],
  priceVersion: "file:1",
  outputField: "max_tokens",
};
const OVERRIDES = { directory: createModelDirectory([MODEL]) };

const FOLDER = join(import.meta.dirname, "dialects");
const DIALECTS = readdirSync(FOLDER).map((file) => parse(readFileSync(join(FOLDER, file), "utf8")) as Dialect);
const WHOLE = DIALECTS.flatMap(({ name, answer }) => (answer === undefined ? [] : [[name] as const]));
const STREAMED = DIALECTS.flatMap(({ name, stream }) => (stream === undefined ? [] : [[name] as const]));
const dialectOf = (name: string): Dialect => DIALECTS.find((each) => each.name === name)!;

/** Text of one event of a stream. */
function textOf(event: object | string): string {
  if (typeof event === "string") return event.startsWith(":") ? `${event}\n\n` : `data: ${event}\n\n`;
  return `data: ${JSON.stringify(event)}\n\n`;
}

/** True for the chunk that only the gateway requested. */
const isUsageChunk = (event: object | string): boolean =>
  typeof event === "object" && "usage" in event && "choices" in event && JSON.stringify(event.choices) === "[]";

const settledBy = ({ usage }: Dialect) =>
  Object.fromEntries(Object.entries(COUNTS).map(([name, count]) => [count, usage[name as keyof typeof COUNTS]]));

const countsOf = (settlement: Settlement | undefined) =>
  Object.fromEntries(Object.values(COUNTS).map((count) => [count, settlement?.[count]]));

interface Served {
  readonly settlement: Settlement | undefined;
  readonly text: string;
}

async function serve(
  dialect: Dialect,
  contentType: string,
  chunks: readonly Uint8Array[],
  more: object,
): Promise<Served> {
  return serveBody(
    dialect,
    contentType,
    (async function* () {
      yield* chunks;
    })(),
    more,
  );
}

async function serveBody(
  { max_tokens: bound = 4_096 }: Dialect,
  contentType: string,
  body: AsyncGenerator<Uint8Array>,
  more: object,
  reply = fakeReply(),
): Promise<Served> {
  const { serve: run, usage } = pipelineUnderTest({
    upstream: answeringUpstream(contentType, [], { body }),
    overrides: OVERRIDES,
  });
  await run({ ...BODY, max_tokens: bound, ...more }, reply);
  return { settlement: usage.settlements[0], text: reply.text };
}

const STREAM = { stream: true };

it("has at least twenty dialects, each with a source, an answer or a stream, and a name of its own", () => {
  expect(DIALECTS.length).toBeGreaterThanOrEqual(20);
  expect(new Set(DIALECTS.map(({ name }) => name)).size).toBe(DIALECTS.length);
  for (const { name, source, answer, stream, usage } of DIALECTS) {
    expect(source, name).toMatch(/^https:\/\//);
    expect(answer ?? stream, name).toBeDefined();
    expect(Object.keys(COUNTS), name).toEqual(expect.arrayContaining(Object.keys(usage)));
  }
});

describe("a whole answer of", () => {
  it.each(WHOLE)("%s is charged by its usage, and passes unchanged", async (name) => {
    const dialect = dialectOf(name);
    const bytes = Buffer.from(JSON.stringify(dialect.answer));
    const { settlement, text } = await serve(dialect, "application/json", [bytes], {});
    expect(settlement).toMatchObject({ outcome: "succeeded", estimated: false });
    expect(settlement?.serviceTier).toBe(dialect.service_tier);
    expect(countsOf(settlement)).toEqual(settledBy(dialect));
    expect(text).toBe(bytes.toString());
  });
});

describe("a stream of", () => {
  describe.each(STREAMED)("%s", (name) => {
    const dialect = dialectOf(name);
    const { stream = [] } = dialect;
    const sent = stream.map(textOf).join("");
    const bytes = Buffer.from(sent);
    const end = stream.includes("[DONE]") ? "" : "data: [DONE]\n\n";
    let whole: Served;
    beforeAll(async () => {
      whole = await serve(dialect, "text/event-stream", [bytes], STREAM);
    });

    it("is charged by its usage", () => {
      expect(whole.settlement).toMatchObject({ outcome: "succeeded", estimated: false });
      expect(whole.settlement?.serviceTier).toBe(dialect.service_tier);
      expect(countsOf(whole.settlement)).toEqual(settledBy(dialect));
    });

    it("passes unchanged, except for a usage chunk that the client did not request", async () => {
      expect(whole.text).toBe(
        stream
          .filter((event) => !isUsageChunk(event))
          .map(textOf)
          .join("") + end,
      );
      const asked = { ...STREAM, stream_options: { include_usage: true } };
      expect((await serve(dialect, "text/event-stream", [bytes], asked)).text).toBe(sent + end);
    });

    it("gives the same usage and the same bytes, however it is split", async () => {
      const splits = fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(splits, async (at) => {
          const ends = [...at.toSorted((left, right) => left - right), bytes.length];
          const chunks = ends.map((until, index) => bytes.subarray(ends[index - 1] ?? 0, until));
          const { settlement, text } = await serve(dialect, "text/event-stream", chunks, STREAM);
          expect(text).toBe(whole.text);
          expect(countsOf(settlement)).toEqual(countsOf(whole.settlement));
        }),
        { numRuns: 15 },
      );
      const single = [...bytes].map((byte) => Uint8Array.of(byte));
      expect((await serve(dialect, "text/event-stream", single, STREAM)).text).toBe(whole.text);
    });

    it("that ends anywhere is never free, and never above its reservation unless the upstream reports more", async () => {
      const ends = fc.constantFrom<CancelReason | "dies">("client_gone", "too_long", "dies");
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 0, max: bytes.length - 1 }), ends, async (length, how) => {
          const reply = fakeReply();
          const body = (async function* () {
            yield bytes.subarray(0, length);
            if (how === "dies") throw new UpstreamFault("broken", "broken off");
            reply.cancel(how);
            throw new Error("cancelled");
          })();
          const { settlement } = await serveBody(dialect, "text/event-stream", body, STREAM, reply);
          const { promptTokens = 0, completionTokens = 0, costNanoUsd = 0n, estimated } = settlement ?? {};
          expect(costNanoUsd).toBe(BigInt(promptTokens + 2 * completionTokens) * MICRO);
          if (!estimated) {
            expect(countsOf(settlement)).toEqual(countsOf(whole.settlement));
            return;
          }
          expect(promptTokens).toBeGreaterThan(0);
          expect(completionTokens).toBeGreaterThan(0);
          const most = Math.max(dialect.max_tokens ?? 4_096, whole.settlement?.completionTokens ?? 0);
          expect(completionTokens).toBeLessThanOrEqual(most);
        }),
        { numRuns: 10 },
      );
    });
  });
});
