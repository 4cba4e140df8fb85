import type { ContentPattern, GuardrailSpec } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";
import { answeringUpstream } from "../../../test/fake-upstream.ts";
import { BODY, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import type { GuardrailDecision } from "../ports/usage-log.ts";

const pattern = (
  name: string,
  pattern: string,
  action: ContentPattern["action"],
  appliesTo: ContentPattern["appliesTo"] = "both",
): ContentPattern => ({ name, pattern, action, appliesTo });
const guardrail = (...contentPatterns: readonly ContentPattern[]): GuardrailSpec => ({ contentPatterns });
const decision = (number: number, pattern: string, more: Partial<GuardrailDecision>): GuardrailDecision => ({
  policyId: `pol_${number}`,
  bindingId: `bnd_${number}`,
  rule: "guardrail.content_patterns",
  pattern,
  requestRedactions: 0,
  responseRedactions: 0,
  blocked: undefined,
  ...more,
});

/** Decisions in the settlement of a request, which is checked to repeat no text. */
async function decided(
  specs: readonly GuardrailSpec[],
  content: string,
  upstream?: ReturnType<typeof answeringUpstream>,
) {
  const { serve, usage } = pipelineUnderTest({
    guardrails: fakeGuardrailDirectory(specs),
    ...(upstream && { upstream }),
  });
  const stream = upstream !== undefined;
  await serve({ ...BODY, max_tokens: 50, stream, messages: [{ role: "user", content }] });
  const [settlement] = usage.settlements;
  expect(usage.settlements).toHaveLength(1);
  expect(
    Object.values(settlement ?? {})
      .map(String)
      .join(),
  ).not.toMatch(/4711|0815/);
  return settlement?.guardrailDecisions;
}

const event = (content: string): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
const streaming = (...pieces: readonly string[]) =>
  answeringUpstream("text/event-stream", [...pieces.map(event), "data: [DONE]\n\n"]);

describe("the record of a request", () => {
  it("has the number of redactions by each pattern of each guardrail, in the request and in the answer", async () => {
    const specs = [
      guardrail(pattern("pin", String.raw`\d{4}`, "redact"), pattern("name", "Ann", "redact", "request")),
      guardrail(pattern("sum", String.raw`\d`, "redact", "response"), pattern("word", "nowhere", "block")),
    ];
    // The echo upstream repeats the redacted request, which has no digits.
    expect(await decided(specs, "4711 and 0815 of Ann")).toEqual([
      decision(1, "pin", { requestRedactions: 2 }),
      decision(1, "name", { requestRedactions: 1 }),
    ]);
    const answer = streaming("it is 47", "11, or ", "1 of 08", "15");
    expect(await decided(specs, "Ann, Ann", answer)).toEqual([
      decision(1, "name", { requestRedactions: 2 }),
      decision(2, "sum", { responseRedactions: 3 }),
      decision(1, "pin", { responseRedactions: 2 }),
    ]);
  });

  it("names the pattern that blocked the request, or its answer, first", async () => {
    const specs = [
      guardrail(pattern("pin", String.raw`\d{4}`, "redact")),
      guardrail(pattern("house word", "secret", "block")),
    ];
    expect(await decided(specs, "a secret")).toEqual([decision(2, "house word", { blocked: "request" })]);
    const answer = streaming("4711 is", " a sec", "ret", " of 0815");
    expect(await decided(specs, "hello", answer)).toEqual([
      decision(2, "house word", { blocked: "response" }),
      decision(1, "pin", { responseRedactions: 1 }),
    ]);
  });

  it("has the decisions about an answer that is not streamed", async () => {
    const pin = pattern("pin", String.raw`\d{4}`, "redact", "response");
    const specs = [guardrail(pin, pattern("house word", "secret", "block", "response"))];
    expect(await decided(specs, "4711 and 0815")).toEqual([decision(1, "pin", { responseRedactions: 2 })]);
    expect(await decided(specs, "a secret")).toEqual([decision(1, "house word", { blocked: "response" })]);
  });

  it("omits patterns that matched nothing", async () => {
    expect(await decided([guardrail(pattern("pin", String.raw`\d{4}`, "redact"))], "hello")).toEqual([]);
  });
});
