import fc from "fast-check";
import { expect, it } from "vitest";
import { Spans } from "./spans.ts";

const LENGTH = 5_000;
const stretch = fc.tuple(fc.nat({ max: LENGTH - 20 }), fc.integer({ min: 1, max: 20 }));

it("merge overlapping and adjacent spans, in whatever order they are added", () => {
  fc.assert(
    fc.property(fc.array(stretch, { maxLength: 3_000 }), fc.array(fc.nat({ max: LENGTH })), (added, offsets) => {
      const spans = new Spans();
      const expected = new Uint8Array(LENGTH);
      for (const [start, length] of added) {
        spans.add(start, start + length);
        expected.fill(1, start, start + length);
      }
      const taken = new Uint8Array(LENGTH);
      let last = -1;
      for (const offset of [...offsets.toSorted((a, b) => a - b), LENGTH]) {
        for (const { start, end } of spans.takeBefore(offset)) {
          expect(start).toBeGreaterThanOrEqual(last);
          taken.fill(1, start, end);
          last = end;
        }
      }
      expect(taken).toEqual(expected);
    }),
    { numRuns: 50 },
  );
});
