import fc from "fast-check";
import { expect, it } from "vitest";
import { applyEdits, applyEditsToBytes, type Edit } from "./json-edits.ts";

it("edits the bytes of a text as it edits the text, and copies none that stay", () => {
  const edited = fc
    .tuple(
      fc.array(fc.string({ unit: "grapheme", maxLength: 8 }), { maxLength: 8 }),
      fc.array(fc.string({ unit: "grapheme" })),
    )
    .map(([parts, literals]) => {
      const edits: Edit[] = [];
      let at = 0;
      for (const [index, part] of parts.entries()) {
        const literal = literals[index];
        if (literal !== undefined) edits.push({ start: at, end: at + part.length, literal });
        at += part.length + (parts[index + 1]?.length ?? 0);
      }
      const text = parts.flatMap((part, index) => [part, parts[index + 1] ?? ""]).join("");
      return { text, edits };
    });
  fc.assert(
    fc.property(edited, ({ text, edits }) => {
      const bytes = Buffer.from(text);
      const pieces = applyEditsToBytes(bytes, text, edits);
      expect(Buffer.concat(pieces).toString()).toBe(applyEdits(text, edits));
      for (const [index, piece] of pieces.entries()) if (index % 2 === 0) expect(piece.buffer).toBe(bytes.buffer);
    }),
  );
});
