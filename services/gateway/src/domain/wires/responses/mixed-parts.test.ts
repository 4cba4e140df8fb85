import type { GuardrailSpec } from "@routeplane/guardrails";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fakeGuardrailDirectory } from "../../../../test/fake-guardrail-directory.ts";
import { answeringUpstream } from "../../../../test/fake-upstream.ts";
import { pipelineUnderTest } from "../../../../test/pipeline-under-test.ts";
import { response, RESPONSE_BODY, responseEvent } from "../../../../test/sample-responses.ts";
import { RESPONSES } from "./responses-wire.ts";

/** Tests of streams in which the pieces of several texts mix. */

async function served(action: "block" | "redact", stream: string) {
  const spec: GuardrailSpec = { contentPatterns: [{ name: "word", pattern: "secret", action, appliesTo: "response" }] };
  const upstream = answeringUpstream("text/event-stream", [stream]);
  const { serve, usage } = pipelineUnderTest({ upstream, wire: RESPONSES, guardrails: fakeGuardrailDirectory([spec]) });
  const { reply } = await serve({ ...RESPONSE_BODY, stream: true });
  return { text: reply.text, errorCode: usage.settlements[0]?.errorCode };
}

const PLACES = [
  { output_index: 0, content_index: 0 },
  { output_index: 0, content_index: 1 },
  { output_index: 1, content_index: 0 },
] as const;

/** Step of a stream: a piece of the text at a place; undefined for the end of that text. */
type Step = readonly [place: number, piece: string | undefined];

function streamOf(steps: readonly Step[], isWhole: boolean): string {
  const last = isWhole ? responseEvent({ type: "response.completed", response: response([]) }) : "";
  const event = ([place, piece]: Step): string =>
    piece === undefined
      ? responseEvent({ type: "response.content_part.done", item_id: "msg_1", ...PLACES[place], part: {} })
      : responseEvent({ type: "response.output_text.delta", item_id: "msg_1", ...PLACES[place], delta: piece });
  return steps.map(event).join("") + last;
}

/** Texts that a client joins, by place. */
function joined(stream: string): readonly string[] {
  const texts = PLACES.map(() => "");
  for (const [, data = ""] of stream.matchAll(/^data: (.*)$/gm)) {
    const { output_index: item, content_index: part, delta } = JSON.parse(data) as Record<string, string>;
    const place = PLACES.findIndex((each) => each.output_index === Number(item) && each.content_index === Number(part));
    if (delta !== undefined) texts[place] += delta;
  }
  return texts;
}

/** Pieces of three texts in any order, each text in its own, and with or without its end. */
const stepsOf = (piece: fc.Arbitrary<string>): fc.Arbitrary<readonly Step[]> =>
  fc
    .record({
      texts: fc.tuple(...PLACES.map(() => fc.tuple(fc.array(piece, { maxLength: 4 }), fc.boolean()))),
      turns: fc.array(fc.nat(PLACES.length - 1), { minLength: 20, maxLength: 20 }),
    })
    .map(({ texts, turns }) => {
      const left = texts.map(([pieces, ends]) => [...pieces, ...(ends ? [undefined] : [])]);
      const take = (place: number): Step[] => (left[place]?.length === 0 ? [] : [[place, left[place]?.shift()]]);
      return [...turns, ...PLACES.keys(), ...PLACES.keys()]
        .flatMap(take)
        .concat(left.flatMap((pieces, place) => pieces.map((each): Step => [place, each])));
    });

describe("a stream in which pieces of several texts mix", () => {
  it("lets no match leave in a text, or over two of them, whichever comes first", async () => {
    let matches = 0;
    const piece = fc.constantFrom("s", "se", "sec", "cre", "ret", "t", "et", "x", "", "secret");
    await fc.assert(
      fc.asyncProperty(stepsOf(piece), fc.boolean(), async (steps, isWhole) => {
        const stream = streamOf(steps, isWhole);
        const { text } = await served("redact", stream);
        expect(joined(text).join("")).not.toContain("secret");
        if (!isWhole || !joined(stream).join("").includes("secret")) return;
        matches++;
        const judged = await served("block", stream);
        // The end of a text that can go on in one which has begun is redacted: the match is not complete then.
        const isRedacted = joined(judged.text).join("").includes("[REDACTED]");
        expect(isRedacted ? "content_blocked" : judged.errorCode).toBe("content_blocked");
      }),
      { numRuns: 150 },
    );
    expect(matches).toBeGreaterThan(5);
  });

  const LEAKS: readonly (readonly [string, readonly Step[], readonly string[]])[] = [
    [
      "a text that the stream breaks off in, and one after it that came before",
      [
        [0, "s"],
        [2, "ret"],
        [1, "cre"],
        [1, "sec"],
      ],
      ["[REDACTED]", "cre[REDACTED]", "ret"],
    ],
    [
      "an empty text between them that came before",
      [
        [1, ""],
        [0, "sec"],
        [0, undefined],
        [2, "ret"],
      ],
      ["sec", "", "[REDACTED]"],
    ],
    [
      "an empty text between them, the second before the first",
      [
        [1, ""],
        [2, "ret"],
        [0, "sec"],
        [0, undefined],
      ],
      ["[REDACTED]", "", "ret"],
    ],
  ];

  it.each(LEAKS)("lets no match leave over %s", async (_, steps, texts) => {
    const { text } = await served("redact", streamOf(steps, false));
    expect(joined(text)).toEqual(texts);
  });

  it("passes each text as if it came alone", async () => {
    const word = fc.constantFrom(" a ", " secret ", " sec", "ret ", " é ");
    await fc.assert(
      fc.asyncProperty(stepsOf(word), async (steps) => {
        const framed = PLACES.map((_, place): Step => [place, " "]);
        const ends = PLACES.map((_, place): Step => [place, " "]);
        const pieces = steps.filter(([, each]) => each !== undefined);
        const stream = streamOf([...framed, ...pieces, ...ends], true);
        const { text } = await served("redact", stream);
        expect(joined(text)).toEqual(joined(stream).map((each) => each.replaceAll("secret", "[REDACTED]")));
      }),
      { numRuns: 40 },
    );
  });
});
