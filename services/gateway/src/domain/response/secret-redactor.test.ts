import { describe, expect, it } from "vitest";
import { SecretRedactor } from "./secret-redactor.ts";

const KEYS = ["sk-proj-AbC_0123456789/xyz+Q==", "0123456789abcdef0123456789abcdef", 'odd"key\\with\\\\%zz'];
const redactor = new SecretRedactor(KEYS);

const asJson = (text: string): string => JSON.stringify(text).slice(1, -1);
const hex = (text: string, digits: number, prefix: string): string =>
  Array.from(Buffer.from(text), (byte) => prefix + byte.toString(16).padStart(digits, "0")).join("");
const SPELLINGS: Readonly<Record<string, (key: string) => string>> = {
  "as it is": (key) => key,
  "in lower case": (key) => key.toLowerCase(),
  "in upper case": (key) => key.toUpperCase(),
  "in JSON": asJson,
  "in JSON within JSON": (key) => asJson(asJson(key)),
  "in JSON with escaped slashes": (key) => asJson(key).replaceAll("/", "\\/"),
  "in JSON with every character escaped": (key) => hex(key, 4, "\\u"),
  "in JSON with every character escaped, twice": (key) => asJson(hex(key, 4, "\\u")),
  "in JSON with upper-case escapes": (key) => hex(key, 4, "\\u").toUpperCase().replaceAll("\\U", "\\u"),
  "in Python's spelling of bytes": (key) => hex(key, 2, "\\x"),
  "in a URL": encodeURIComponent,
  "in a URL with every character escaped": (key) => hex(key, 2, "%"),
  "in a URL within a URL": (key) => encodeURIComponent(hex(key, 2, "%")),
  "in base64": (key) => Buffer.from(key).toString("base64"),
  "in base64 for URLs": (key) => Buffer.from(key).toString("base64url"),
  "in base64 of a header": (key) => Buffer.from(`Bearer ${key}`).toString("base64"),
  "in base64 of a longer header": (key) => Buffer.from(`authorization: Bearer ${key}\r\n`).toString("base64"),
  "in base64 of two characters more": (key) => Buffer.from(`k=${key}, and more`).toString("base64"),
};

async function streamed(chunks: readonly Uint8Array[]): Promise<{ readonly text: string; readonly parts: number }> {
  async function* source(): AsyncGenerator<Uint8Array> {
    yield* chunks;
  }
  const passed: Uint8Array[] = [];
  for await (const chunk of redactor.stream(source())) passed.push(chunk);
  return { text: Buffer.concat(passed).toString("utf8"), parts: passed.length };
}

describe.each(Object.keys(SPELLINGS))("a key %s", (name) => {
  const spell = SPELLINGS[name] ?? String;

  it.each(KEYS)("is redacted wherever the text is split: %s", async (key) => {
    const spelled = spell(key);
    const whole = Buffer.from(`{"message":"wrong: ${spelled}, é\\n sk-proj %25 \\\\"}`);
    const { text } = await streamed([whole]);
    // Base64 keeps what is around the key, and up to two characters that share bits with that.
    expect(text).toMatch(/^\{"message":"wrong: .{0,30}\[redacted\].{0,20}, é\\n sk-proj %25 \\\\"\}$/);
    expect(redactor.text(whole.toString())).toBe(text);
    for (let cut = 1; cut < whole.length; cut++) {
      const halves = [whole.subarray(0, cut), whole.subarray(cut)];
      expect((await streamed(halves)).text, `cut at ${cut}`).toBe(text);
    }
    const bytes = Array.from(whole, (byte) => Buffer.from([byte]));
    expect((await streamed(bytes)).text).toBe(text);
  });
});

describe("text without a key", () => {
  it.each([
    "",
    "nothing",
    "sk-proj-AbC_0123456789/xyz",
    "0123456789abcdef0123456789abcde",
    "\\".repeat(100),
    "%25".repeat(100),
    "é€😀 \\u00",
    `data: {"choices":[]}\n\n`,
  ])("passes byte for byte, and all of it: %j", async (text) => {
    expect(await streamed([Buffer.from(text)])).toMatchObject({ text });
    expect(await streamed(Array.from(Buffer.from(text), (byte) => Buffer.from([byte])))).toMatchObject({ text });
    expect(redactor.text(text)).toBe(text);
  });

  it("passes at once: an event of a stream does not wait for the next", async () => {
    const events = Array.from({ length: 5 }, () => Buffer.from('data: {"choices":[{"delta":{"content":"sk"}}]}\n\n'));
    expect((await streamed(events)).parts).toBe(5);
  });

  it("may contain a placeholder that is configured as a key", () => {
    const text = "none, EMPTY and ollama are words";
    expect(new SecretRedactor(["none", "EMPTY", "ollama", ""]).text(text)).toBe(text);
  });
});

it.each(["%zbcdefgh", "\\\\abcdefgh", '"abcdefgh'])(
  "a key that begins with what escapes others is redacted: %s",
  (key) => {
    const redactor = new SecretRedactor([key]);
    expect(redactor.text(`<${key}>`)).toBe("<[redacted]>");
    expect(redactor.text(`<${encodeURIComponent(key)}>`)).toBe("<[redacted]>");
  },
);

it("two keys side by side, and one within the other, are redacted", () => {
  const redactor = new SecretRedactor(["sk-abcdefgh", "sk-abcdefghijkl"]);
  expect(redactor.text("sk-abcdefghsk-abcdefgh,sk-abcdefghijkl")).not.toMatch(/abc|ijkl/);
});
