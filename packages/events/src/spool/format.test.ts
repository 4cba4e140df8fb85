import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeSegment, encodeHeader, encodeRecord, HEADER_BYTES, type SpoolRecord } from "./format.ts";

const SESSION = "0123456789abcdef0123456789abcdef";
const RUNS = { numRuns: 500 };

const offset = fc.nat({ max: 2 ** 48 - 1 });
const payload = fc.uint8Array({ maxLength: 200 });
const record: fc.Arbitrary<SpoolRecord> = fc.oneof(
  fc.record({ kind: fc.constantFrom("event" as const, "pendingSettlement" as const), offset, payload }),
  fc.record({ kind: fc.constant("completed" as const), offset }),
  fc.record({ kind: fc.constantFrom("sent" as const, "acknowledged" as const), first: offset, last: offset }),
);
const records = fc.array(record, { maxLength: 20 });

function segmentOf(written: readonly SpoolRecord[]): { readonly bytes: Buffer; readonly ends: readonly number[] } {
  const parts = [encodeHeader(SESSION), ...written.map(encodeRecord)];
  const ends: number[] = [];
  for (const part of parts) ends.push((ends.at(-1) ?? 0) + part.length);
  return { bytes: Buffer.concat(parts), ends };
}

/** Payloads as buffers, so that equal ones are equal. */
function read(bytes: Buffer): readonly SpoolRecord[] {
  return decodeSegment(bytes).records.map(comparable);
}

function comparable(each: SpoolRecord): SpoolRecord {
  return "payload" in each ? { ...each, payload: Buffer.from(each.payload) } : { ...each };
}

test("what was written is what is read, to the last byte", () => {
  fc.assert(
    fc.property(records, (written) => {
      const { bytes } = segmentOf(written);
      expect(decodeSegment(bytes)).toMatchObject({ session: SESSION, end: bytes.length, damagedBytes: 0 });
      expect(read(bytes)).toEqual(written.map(comparable));
    }),
    RUNS,
  );
});

test("a file that ends anywhere holds exactly the records that were written whole", () => {
  fc.assert(
    fc.property(records, fc.nat(), (written, cut) => {
      const { bytes, ends } = segmentOf(written);
      const length = cut % (bytes.length + 1);
      const whole = ends.slice(1).filter((end) => end <= length).length;
      expect(read(bytes.subarray(0, length))).toEqual(written.slice(0, whole).map(comparable));
    }),
    RUNS,
  );
});

test("a flipped bit costs the record that it is in and no other, and nothing that was not written is read", () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), fc.nat(), (written, flip) => {
      const { bytes, ends } = segmentOf(written);
      const bit = HEADER_BYTES * 8 + (flip % ((bytes.length - HEADER_BYTES) * 8));
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const hit = ends.findIndex((end) => end > bit >> 3) - 1;
      expect(read(bytes)).toEqual(written.filter((_, index) => index !== hit).map(comparable));
    }),
    RUNS,
  );
});

test("pages that were never written cost what was on them and nothing else", () => {
  fc.assert(
    fc.property(records, fc.nat(), fc.nat({ max: 300 }), (written, start, size) => {
      const { bytes, ends } = segmentOf(written);
      const from = HEADER_BYTES + (start % Math.max(bytes.length - HEADER_BYTES, 1));
      const before = Buffer.from(bytes);
      bytes.fill(0, from, Math.min(from + size, bytes.length));
      const intact = written.filter((_, index) => {
        const [begin = 0, end = 0] = [ends[index], ends[index + 1]];
        return bytes.subarray(begin, end).equals(before.subarray(begin, end));
      });
      expect(read(bytes)).toEqual(intact.map(comparable));
    }),
    RUNS,
  );
});

test("neither a header with a flipped bit nor random bytes are read as a segment", () => {
  const { bytes } = segmentOf([{ kind: "completed", offset: 7 }]);
  for (let bit = 0; bit < HEADER_BYTES * 8; bit++) {
    const spoiled = Buffer.from(bytes);
    spoiled[bit >> 3] = (spoiled[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(decodeSegment(spoiled)).toMatchObject({ session: undefined, records: [] });
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (rubbish) => {
      expect(decodeSegment(Buffer.from(rubbish)).records).toEqual([]);
      const framed = Buffer.concat([encodeHeader(SESSION), rubbish]);
      expect(decodeSegment(framed).records).toEqual([]);
    }),
    RUNS,
  );
});
