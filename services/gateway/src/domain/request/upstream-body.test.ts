import { describe, expect, it } from "vitest";
import { parseRequest } from "./parse-request.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { prepareUpstreamBody, type UpstreamTarget } from "./upstream-body.ts";

const NEVER = new AbortController().signal;

function parse(text: string) {
  return parseRequest(CHAT, Buffer.from(text), NEVER);
}

describe("prepareUpstreamBody", () => {
  const TARGET = { id: "m", outputField: "max_tokens" } as const;
  const upstreamBody = async (request: ReturnType<typeof parse>, target: Partial<UpstreamTarget> = {}) =>
    prepareUpstreamBody(await request, { ...TARGET, ...target })(5);

  it("is the client's bytes where nothing needs changing", async () => {
    const body = Buffer.from('{ "model":"m","messages":[{}] , "max_tokens": 5, "seed":12345678901234567890 }');
    expect(await upstreamBody(parseRequest(CHAT, body, NEVER))).toBe(body);
  });

  it.each([
    ["ASCII", "x".repeat(400_000)],
    ["other characters", "é中😀".repeat(100_000)],
  ])("is the same in pieces if it is large, of %s, and shares the client's bytes", async (_, content) => {
    const of = (text: string): string =>
      `{"user":"é","model":" P/M ", "messages":[{"role":"user","content":"${text}"}],"stream":true,"n":1}`;
    const request = await parse(of(content));
    const pieces = prepareUpstreamBody(request, TARGET)(5);
    const small = String(await upstreamBody(parse(of("hi"))));
    if (!Array.isArray(pieces)) throw new Error("the body is in one piece");
    const parts = pieces as readonly Buffer[];
    expect(Buffer.concat(parts).toString() === small.replace('"hi"', `"${content}"`)).toBe(true);
    expect(Math.max(...parts.map((piece) => piece.length))).toBeGreaterThan(content.length);
    const largest = parts.find((piece) => piece.length > content.length);
    expect(largest?.buffer).toBe(request.bytes.buffer);
  });

  it("names the model as the upstream does", async () => {
    const body = await upstreamBody(parse('{"model":" P/M ","messages":[{}],"max_tokens":5}'));
    expect(body).toBe('{"model":"m","messages":[{}],"max_tokens":5}');
  });

  it("writes the granted bound where the client wrote its own, under the client's name for it", async () => {
    expect(await upstreamBody(parse('{"model":"m","max_completion_tokens":9,"messages":[{}]}'))).toBe(
      '{"model":"m","max_completion_tokens":5,"messages":[{}]}',
    );
  });

  it("adds a bound where the client gave none", async () => {
    expect(await upstreamBody(parse('{"model":"m","messages":[{}]}'))).toBe(
      '{"model":"m","messages":[{}],"max_tokens":5}',
    );
    expect(await upstreamBody(parse('{"model":"m","messages":[{}],"max_tokens":null}'))).toBe(
      '{"model":"m","messages":[{}],"max_tokens":5}',
    );
  });

  it("requests usage in streams and keeps the client's other stream options", async () => {
    const body = await upstreamBody(
      parse('{"model":"m","max_tokens":5,"messages":[{}],"stream":true,"stream_options":{"x":1}}'),
    );
    expect(JSON.parse(String(body))).toMatchObject({ stream_options: { x: 1, include_usage: true } });
  });

  it("requests no usage of an upstream that refuses it, and keeps what the client asks for", async () => {
    const never = { usageInStreams: "never" } as const;
    const plain = '{"model":"m","max_tokens":5,"messages":[{}],"stream":true}';
    expect(String(await upstreamBody(parse(plain), never))).toBe(plain);
    const asking = '{"model":"m","max_tokens":5,"messages":[{}],"stream":true,"stream_options":{"include_usage":true}}';
    expect(String(await upstreamBody(parse(asking), never))).toBe(asking);
  });

  it.each([
    ['{"model":"m", "max_tokens" : 9,"messages":[{}]}', '{"model":"m", "max_completion_tokens":5,"messages":[{}]}'],
    ['{"model":"m","max_tokens":5,"messages":[{}]}', '{"model":"m","max_completion_tokens":5,"messages":[{}]}'],
    [
      '{"max_completion_tokens":null,"max_tokens":9,"messages":[{}],"model":"m"}',
      '{"max_completion_tokens":5,"max_tokens":null,"messages":[{}],"model":"m"}',
    ],
    [
      '{"model":"m","max_completion_tokens":5,"messages":[{}]}',
      '{"model":"m","max_completion_tokens":5,"messages":[{}]}',
    ],
  ])("names the client's output bound as the upstream is known to take it: %s", async (text, sent) => {
    const target = { outputField: "max_completion_tokens", renamesOutputField: true } as const;
    expect(String(await upstreamBody(parse(text), target))).toBe(sent);
  });
});
