import { describe, expect, it } from "vitest";
import { withoutSplitSecrets } from "./split-secrets.ts";
import { UpstreamFault } from "../ports/upstream.ts";

const KEY = "sk-proj-AbC0123456789xyz";

const piece = (content: string, index = 0): string =>
  `data: ${JSON.stringify({ choices: [{ index, delta: { content } }] })}\n\n`;

interface Passed {
  readonly text: string;
  readonly parts: readonly string[];
  readonly fault: unknown;
}

async function passedOf(events: readonly string[], end?: Error): Promise<Passed> {
  async function* source(): AsyncGenerator<Uint8Array> {
    for (const event of events) yield Buffer.from(event);
    if (end !== undefined) throw end;
  }
  const parts: string[] = [];
  let fault: unknown;
  try {
    for await (const chunk of withoutSplitSecrets(source(), [KEY, "another-secret"])) {
      parts.push(Buffer.from(chunk).toString());
    }
  } catch (error) {
    fault = error;
  }
  return { text: parts.join(""), parts, fault };
}

const contentOf = (text: string): string =>
  [...text.matchAll(/"content":("(?:[^"\\]|\\.)*")/g)].map(([, literal = ""]) => String(JSON.parse(literal))).join("");

describe("a key that a stream spells piece by piece", () => {
  const sizes = [1, 2, 3, 5, 8, 13, 21];
  it.each(sizes)("breaks it off before more than 3 of its characters have passed, in pieces of %i", async (size) => {
    const text = `My key is ${KEY}, do you see?`;
    const pieces = text.match(new RegExp(`.{1,${size}}`, "g")) ?? [];
    const { text: passed, fault } = await passedOf(pieces.map((each) => piece(each)));
    expect(fault).toBeInstanceOf(UpstreamFault);
    expect(text.startsWith(contentOf(passed))).toBe(true);
    expect(contentOf(passed).length).toBeLessThanOrEqual("My key is sk-".length);
  });

  it("is recognised in another case, escaped, and between the pieces of another choice", async () => {
    const escaped = piece("J-AbC01").replace("A", "\\u0041");
    const { text, fault } = await passedOf([
      piece("SK-pro"),
      piece("x", 1),
      escaped,
      piece("y", 1),
      piece("23456789XYZ"),
    ]);
    expect(fault).toBeInstanceOf(UpstreamFault);
    expect(contentOf(text)).not.toMatch(/sk-pro/i);
  });

  it.each<[string, (text: string, index: number) => object]>([
    [
      "a tool's name",
      (name) => ({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { name } }] } }] }),
    ],
    [
      "a tool's input",
      (input) => ({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, custom: { input } }] } }] }),
    ],
    ["thinking", (thinking) => ({ choices: [{ index: 0, delta: { thinking } }] })],
    ["errors", (message) => ({ error: { message } })],
    ["chunks with an index of their own", (content, index) => ({ index, choices: [{ index: 0, delta: { content } }] })],
    ["choices, one after the other", (content, index) => ({ choices: [{ index, delta: { content } }] })],
  ])("is recognised in %s", async (_, chunkOf) => {
    const pieces = KEY.match(/.{1,5}/g) ?? [];
    const { text, fault } = await passedOf(pieces.map((each, at) => `data: ${JSON.stringify(chunkOf(each, at))}\n\n`));
    expect(fault).toBeInstanceOf(UpstreamFault);
    expect(text).not.toContain("sk-pr");
  });
});

describe("a stream without a key", () => {
  const events = ["risk", "-project", "ion: sk-pro", "mise, sk-proj", "-AbC", "...", "sk-proj-AbC012345678"].map(
    (text) => piece(text),
  );

  it("passes byte for byte, also text that starts like a key, even at its end", async () => {
    const all = [...events, ": comment\n\n", "data: [DONE]\n\n"];
    expect(await passedOf(all)).toMatchObject({ text: all.join(""), fault: undefined });
    expect(await passedOf([all.join("")])).toMatchObject({ text: all.join("") });
    expect(await passedOf(Array.from(all.join("")))).toMatchObject({ text: all.join("") });
  });

  it("passes all that came before it broke off", async () => {
    const end = new UpstreamFault("broken", "reset");
    expect(await passedOf(events, end)).toMatchObject({ text: events.join(""), fault: end });
  });

  it("passes each event at once unless it ends with the start of a key", async () => {
    const { parts } = await passedOf([piece("one s"), piece("k"), piece("two sk-p"), piece("rose"), piece("three")]);
    expect(parts).toEqual([piece("one s"), piece("k"), piece("two sk-p") + piece("rose"), piece("three")]);
  });
});
