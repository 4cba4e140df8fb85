import type { GuardrailSpec } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { fakeGuardrailDirectory } from "../../../../test/fake-guardrail-directory.ts";
import { MICRO } from "../../../../test/pipeline-under-test.ts";
import { serveOnce } from "../../../../test/serve-once.ts";
import { EMBEDDINGS } from "./embeddings-wire.ts";

const ANSWER = JSON.stringify({
  object: "list",
  data: [{ object: "embedding", index: 0, embedding: [0.1, -2e-5] }],
  model: "echo",
  usage: { prompt_tokens: 4, total_tokens: 4 },
});

const served = (body: object, spec?: GuardrailSpec, answer = ANSWER) => {
  const guardrails = fakeGuardrailDirectory(spec === undefined ? [] : [spec]);
  return serveOnce({ wire: EMBEDDINGS, guardrails }, body, "application/json", [answer]);
};

describe("embeddings", () => {
  it.each([
    ["a text", "one two"],
    ["texts", ["one", "two"]],
    ["tokens", [1, 2, 3]],
    ["lists of tokens", [[1, 2], [3]]],
  ])("of %s pass in the bytes of both sides, and are charged by their usage", async (_, input) => {
    const body = { input, model: "echo", encoding_format: "base64", dimensions: 256 };
    const { sent, reply, settlement, spentNano } = await served(body);
    expect(sent).toEqual([JSON.stringify(body)]);
    expect(reply.text).toBe(ANSWER);
    expect(settlement).toMatchObject({ promptTokens: 4, completionTokens: 0, estimated: false, outcome: "succeeded" });
    expect(spentNano).toBe(4n * MICRO);
  });

  it("without usage are charged by their bound, as an estimate", async () => {
    const { settlement } = await served({ model: "echo", input: "one" }, undefined, '{"object":"list","data":[]}');
    expect(settlement).toMatchObject({ estimated: true, completionTokens: 0 });
    expect(settlement?.promptTokens).toBeGreaterThan(0);
  });

  it.each([
    [undefined],
    [""],
    [[]],
    [["one", ""]],
    [["one", 1]],
    [[[]]],
    [[[1.5]]],
    [[[-1]]],
    [{ text: "one" }],
    [Array.from({ length: 2_049 }, () => "a")],
  ])("are refused for the input %j", async (input) => {
    const { refusal, sent } = await served({ model: "echo", input });
    expect(refusal).toMatchObject({ status: 400, param: "input" });
    expect(sent).toEqual([]);
  });

  it("are not streamed", async () => {
    const { refusal } = await served({ model: "echo", input: "a", stream: true });
    expect(refusal).toMatchObject({ status: 400, param: "stream" });
  });

  it("are refused if the answer is none", async () => {
    const { refusal } = await served({ model: "echo", input: "a" }, undefined, '{"choices":[]}');
    expect(refusal).toMatchObject({ status: 502, code: "upstream_invalid_response" });
  });

  const pattern = (action: "block" | "redact"): GuardrailSpec => ({
    contentPatterns: [{ name: "word", pattern: "secret", action, appliesTo: "both" }],
  });

  it.each([["a secret"], [["fine", "a secret"]]])("of %j are blocked and redacted by guardrails", async (input) => {
    const blocked = await served({ model: "echo", input }, pattern("block"));
    expect(blocked.refusal).toMatchObject({ code: "content_blocked" });
    expect(blocked.sent).toEqual([]);
    const { sent } = await served({ model: "echo", input }, pattern("redact"));
    expect(sent[0]).toContain("a [REDACTED]");
  });

  it.each(["dimensions", "encoding_format", "user", "x"])(
    "with the word in the member %s are blocked",
    async (member) => {
      const { refusal, sent } = await served({ model: "echo", input: "a", [member]: "a secret" }, pattern("block"));
      expect(refusal).toMatchObject({ code: "content_blocked" });
      expect(sent).toEqual([]);
    },
  );

  it.each([[[1, 2, 3]], [[[1, 2], [3]]]])(
    "of the tokens %j are refused where nothing uninspectable may pass",
    async (input) => {
      const spec: GuardrailSpec = { ...pattern("block"), uninspectable: "block" };
      const { refusal, sent } = await served({ model: "echo", input }, spec);
      expect(refusal).toMatchObject({ status: 400, code: "content_uninspectable" });
      expect(sent).toEqual([]);
    },
  );

  it.each<readonly [string, object]>([
    ["the place of an embedding", { embedding: "secret" }],
    ["another member", { embedding: [0.1], note: "a secret" }],
    ["the name of a member", { embedding: [0.1], secret: 1 }],
    ["base64 in the place of one", { embedding: Buffer.from("it is a secret, yes.").toString("base64") }],
  ])("with the word in %s are blocked", async (_, item) => {
    const answer = JSON.stringify({ object: "list", data: [{ object: "embedding", index: 0, ...item }] });
    const { refusal } = await served({ model: "echo", input: "a" }, pattern("block"), answer);
    expect(refusal).toMatchObject({ code: "content_blocked" });
  });

  it("as numbers or in base64 of them are not text", async () => {
    const base64 = Buffer.from(new Float32Array([0.25, -1.5, 3e-5]).buffer).toString("base64");
    const spec: GuardrailSpec = {
      contentPatterns: [{ name: "any", pattern: "[0-9A-Za-z]", action: "block", appliesTo: "response" }],
    };
    for (const embedding of [base64, [123456, 2]]) {
      const answer = JSON.stringify({ object: "list", data: [{ object: "embedding", index: 0, embedding }] });
      const { reply, refusal } = await served({ model: "echo", input: "a" }, spec, answer);
      expect(refusal).toBeUndefined();
      expect(reply.text).toBe(answer);
    }
  });
});
