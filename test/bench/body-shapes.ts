/** Size of the bodies. Each shape is hard on one thing: a parser, a decoder, a scan, a walk, a regular expression. */
const BYTES = 10 * 1024 ** 2;
/** Number of values in a body, just below the maximum of a request. */
const VALUES = 99_000;

const chat = (model: string, member: string): string =>
  `{"model":"${model}","max_tokens":5,"messages":[{"role":"user","content":"x"}],${member}}`;

function filled(unit: (index: number) => string, bytes = BYTES - 200): string {
  const parts: string[] = [];
  for (let size = 0, index = 0; ; index++) {
    const part = unit(index);
    size += Buffer.byteLength(part) + 1;
    if (size > bytes) return parts.join(",");
    parts.push(part);
  }
}

const counted = (unit: (index: number) => string, valuesOfUnit: number): string =>
  Array.from({ length: Math.floor(VALUES / valuesOfUnit) }, (_, index) => unit(index)).join(",");

const text = (unit: string): string => unit.repeat(Math.floor((BYTES - 200) / Buffer.byteLength(unit)));
const chatBody = (model: string, content: string): string =>
  `{"model":"${model}","max_tokens":5,"messages":[{"role":"user","content":"${content}"}]}`;

/** Makers of a body for a model, keyed by the name of its shape. */
export const SHAPES: Readonly<Record<string, (model: string) => string>> = {
  "empty arrays": (model) => chat(model, `"x":[${filled(() => "[]")}]`),
  "empty objects": (model) => chat(model, `"x":[${filled(() => "{}")}]`),
  digits: (model) => chat(model, `"x":[${filled(() => "1")}]`),
  "empty strings": (model) => chat(model, `"x":[${filled(() => '""')}]`),
  "top-level members": (model) =>
    chat(
      model,
      filled((index) => `"${index.toString(36)}":1`),
    ),
  "members of one object": (model) => chat(model, `"x":{${filled((index) => `"${index.toString(36)}":1`)}}`),
  "objects of many shapes": (model) => chat(model, `"x":[${filled((index) => `{"${index.toString(36)}":1}`)}]`),
  "5 million levels": (model) => chat(model, `"x":${"[".repeat(BYTES / 2 - 200)}${"]".repeat(BYTES / 2 - 200)}`),
  "stacks of 60 levels": (model) => chat(model, `"x":[${filled(() => "[".repeat(60) + "]".repeat(60))}]`),
  messages: (model) => `{"model":"${model}","messages":[${filled(() => '{"role":"user","content":"hi"}')}]}`,
  "as many objects as may be": (model) =>
    chat(model, `"x":[${counted((index) => `{"${index}":"${"y".repeat(200)}"}`, 3)}]`),
  "as many top-level members as may be": (model) =>
    chat(
      model,
      counted((index) => `"${"k".repeat(190)}${index}":1`, 2),
    ),
  "as many strings as may be": (model) => chat(model, `"x":[${counted(() => `"${"y".repeat(100)}"`, 1)}]`),
  "as many messages as may be": (model) =>
    `{"model":"${model}","messages":[${counted(() => `{"role":"user","content":"${"hello ".repeat(80)}"}`, 5)}]}`,
  "strings under a long name": (model) => chat(model, `"${"n".repeat(5_000_000)}":{"y":[${counted(() => '"zz"', 1)}]}`),
  prose: (model) => chatBody(model, text("the gateway judges what a key may ask, for 4,096 tokens; ")),
  words: (model) => chatBody(model, text("a ")),
  "one word": (model) => chatBody(model, text("a")),
  "escaped newlines": (model) => chatBody(model, text("\\n")),
  "escaped quotes": (model) => chatBody(model, text('x\\"')),
  "escaped backslashes": (model) => chatBody(model, text("\\\\")),
  "unicode escapes": (model) => chatBody(model, text("\\u4e2d")),
  "characters of three bytes": (model) => chatBody(model, text("中")),
  emoji: (model) => chatBody(model, text("😀a")),
  "zero-width characters": (model) => chatBody(model, text("a\u200b")),
  "white space": (model) => `${chatBody(model, "x")}${" ".repeat(BYTES - 200)}`,
  "a long number": (model) => chat(model, `"x":${"1".repeat(BYTES - 200)}`),
  "a long name": (model) => chat(model, `"${"k".repeat(BYTES - 200)}":1`),
  "an image": (model) =>
    `{"model":"${model}","max_tokens":5,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,${text("QUJD")}"}}]}]}`,
  "no JSON": () => text("x"),
};
