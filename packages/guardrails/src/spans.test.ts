import fc from "fast-check";
import { expect, it } from "vitest";
import { Spans } from "./spans.ts";

const LENGTH = 5_000;
const stretch = fc.tuple(fc.nat({ max: LENGTH - 20 }), fc.integer({ min: 1, max: 20 }));

it("merge overlapping and adjacent spans, in whatever order they are added", () => {
  fc.assert(
    fc.property(fc.array(stretch, { maxLength: 3_000 }), fc.array(fc.nat({ max: LENGTH })), (added, places) => {
      const spans = new Spans();
      const isIn = new Uint8Array(LENGTH);
      for (const [start, length] of added) {
        spans.add(start, start + length);
        isIn.fill(1, start, start + length);
      }
      const found = new Uint8Array(LENGTH);
      let last = -1;
      for (const place of [...places.toSorted((one, other) => one - other), LENGTH]) {
        for (const { start, end } of spans.takeBefore(place)) {
          expect(start).toBeGreaterThanOrEqual(last);
          found.fill(1, start, end);
          last = end;
        }
      }
      expect(found).toEqual(isIn);
    }),
    { numRuns: 50 },
  );
});
