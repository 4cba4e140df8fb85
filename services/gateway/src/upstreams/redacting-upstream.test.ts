import { expect, it } from "vitest";
import { answeringUpstream } from "../../test/fake-upstream.ts";
import { BODY, reservationOf, pipelineUnderTest } from "../../test/pipeline-under-test.ts";
import { SecretRedactor } from "../domain/response/secret-redactor.ts";
import { redactingUpstream } from "./redacting-upstream.ts";

const KEY = "sk-provider-0123456789";
const redactor = new SecretRedactor([KEY]);
const STREAM = { ...BODY, max_tokens: 300, stream: true };
const piece = (content: string): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;

it("a stream that spells the key ends with an error before it is complete, and is charged an estimate", async () => {
  const chunks = [piece("my key: "), ...Array.from(KEY, piece), "data: [DONE]\n\n"];
  const { serve, usage, budget } = pipelineUnderTest({
    upstream: redactingUpstream(answeringUpstream("text/event-stream", chunks), redactor),
  });
  const { reply } = await serve(STREAM);
  expect(reply.text).toBe(
    [piece("my key: "), piece("s"), piece("k"), piece("-"), reply.text.slice(reply.text.lastIndexOf("data: "))].join(
      "",
    ),
  );
  expect(reply.text).toContain('"code":"upstream_error"');
  expect(usage.settlements).toMatchObject([{ outcome: "failed", estimated: true, errorCode: "upstream_error" }]);
  expect(budget.spentNano).toBeGreaterThan(0n);
  expect(budget.spentNano).toBeLessThan(reservationOf(STREAM) + 594n * 1_000n);
});

it("an upstream's refusal is recorded and passed on without the key", async () => {
  const envelope = JSON.stringify({
    error: { message: `${"x".repeat(1_995)}${KEY}`, type: KEY, code: KEY, param: KEY },
  });
  const upstream = answeringUpstream("application/json", [envelope], { status: 429, retryAfter: KEY });
  const { serve, usage } = pipelineUnderTest({ upstream: redactingUpstream(upstream, redactor) });
  const { refusal } = await serve(BODY);
  expect(JSON.stringify([refusal, refusal?.message])).not.toContain("sk-p");
  expect(refusal).toMatchObject({ code: "[redacted]", retryAfter: undefined });
  expect(usage.settlements).toMatchObject([{ errorCode: "[redacted]" }]);
});

it("an answer that has arrived whole is passed on without the key, and metered", async () => {
  const content = `my key: ${KEY}`;
  const json = JSON.stringify({
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 2 },
  });
  const upstream = answeringUpstream("application/json", [json]);
  const whole = Buffer.from(json);
  const arrived = {
    ...upstream,
    send: async (request: Parameters<typeof upstream.send>[0]) =>
      Object.assign(await upstream.send(request), { whole }),
  };
  for (const answering of [upstream, arrived]) {
    const { serve, usage } = pipelineUnderTest({ upstream: redactingUpstream(answering, redactor) });
    const { reply } = await serve(BODY);
    expect(reply.text).toBe(json.replace(KEY, "[redacted]"));
    expect(usage.settlements).toMatchObject([{ outcome: "succeeded", promptTokens: 3, completionTokens: 2 }]);
  }
});
