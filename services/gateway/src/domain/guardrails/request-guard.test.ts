import { setImmediate } from "node:timers/promises";
import type { GuardrailSpec } from "@routeplane/guardrails";
import { MAX_COMPOSED_PATTERNS, MAX_STEPS } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { callerWith } from "../../../test/fake-verifier.ts";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";
import { parseRequest } from "../request/parse-request.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { Refusal } from "../errors/refusal.ts";
import { createGuards } from "./guard.ts";
import type { AppliedGuardrail } from "../ports/guardrail-directory.ts";
import type { CallingKey } from "../ports/key-verifier.ts";
import { guardRequest } from "./request-guard.ts";
import { JudgingMeter } from "./judging-meter.ts";
import { DecisionLog } from "./decision-log.ts";
import { boundTokens } from "../request/token-bounds.ts";
import { boundText } from "../tokens/text-bound.ts";
import { fakeTokenCounter } from "../../../test/fake-token-counter.ts";

const MODEL = {
  provider: "Vendor",
  id: "GPT-4o",
  prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1n, outputPicoUsd: 1n } }] as const,
  priceVersion: "file:1",
  outputField: "max_tokens" as const,
};

async function guarded(
  specs: readonly GuardrailSpec[],
  body: object | string,
  mode?: AppliedGuardrail["mode"],
  maxSteps?: number,
  signal = new AbortController().signal,
  share = new JudgingMeter().shareOf(callerWith([]) as CallingKey),
) {
  const guard = await createGuards(fakeGuardrailDirectory(specs, mode), maxSteps)(callerWith([]) as CallingKey);
  const decisions = new DecisionLog(guard);
  const json = typeof body === "string" ? body : JSON.stringify(body);
  const request = await parseRequest(CHAT, Buffer.from(json), signal);
  const reply = { signal };
  const judged = {
    guard,
    request,
    model: MODEL,
    upstream: { boundTokens },
    tokenCounter: fakeTokenCounter(),
    decisions,
    reply,
    judgingShare: share,
  };
  const outcome = await guardRequest(judged).catch((error: unknown) => error);
  const rules = decisions.shadowDenials.map(({ rule }) => rule);
  if (outcome instanceof Refusal && outcome.denial !== undefined) return { denied: outcome, rules };
  if (outcome instanceof Error) throw outcome;
  return { passed: outcome as Awaited<ReturnType<typeof guardRequest>>, rules };
}

const redact = (pattern: string): GuardrailSpec => ({
  contentPatterns: [{ name: "words", pattern, action: "redact", appliesTo: "request" }],
});
const block = (pattern: string): GuardrailSpec => ({
  contentPatterns: [{ name: "words", pattern, action: "block", appliesTo: "both" }],
});
const ask = (...messages: readonly object[]) => ({ model: "m", messages });

/** Requests with the text in each place that a model reads. */
const PLACES: Readonly<Record<string, object>> = {
  "a system message": ask({ role: "system", content: "the secret" }),
  "a user message": ask({ role: "user", content: "the secret" }),
  "an assistant message": ask({ role: "assistant", content: "the secret" }, { role: "user", content: "?" }),
  "a part": ask({
    role: "user",
    content: [
      { type: "text", text: "hi" },
      { type: "text", text: "the secret" },
    ],
  }),
  "a refusal part": ask({ role: "assistant", content: [{ type: "refusal", refusal: "the secret" }] }),
  "the result of a tool": ask({ role: "tool", tool_call_id: "c", content: "the secret" }),
  "the result of a tool in parts": ask({
    role: "tool",
    tool_call_id: "c",
    content: [{ type: "text", text: "the secret" }],
  }),
  "the arguments of a tool call": ask({
    role: "assistant",
    tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: '{"x":"the secret"}' } }],
  }),
  "the arguments of a function call": ask({
    role: "assistant",
    function_call: { name: "f", arguments: '{"x":"the secret"}' },
  }),
  "the input of a custom tool": ask({
    role: "assistant",
    tool_calls: [{ id: "c", type: "custom", custom: { name: "f", input: "the secret" } }],
  }),
  reasoning: ask({ role: "assistant", content: "x", reasoning: "the secret" }),
  reasoning_content: ask({ role: "assistant", content: "x", reasoning_content: "the secret" }),
  "the details of reasoning": ask({ role: "assistant", reasoning_details: [{ type: "x", text: "the secret" }] }),
  "a name": ask({ role: "user", name: "the secret", content: "x" }),
  "the definition of a tool": {
    ...ask({ role: "user", content: "x" }),
    tools: [{ type: "function", function: { name: "f", description: "the secret" } }],
  },
  "a schema": {
    ...ask({ role: "user", content: "x" }),
    response_format: { type: "json_schema", json_schema: { schema: { enum: ["the secret"] } } },
  },
  "a prediction": { ...ask({ role: "user", content: "x" }), prediction: { type: "content", content: "the secret" } },
  "a stop sequence": { ...ask({ role: "user", content: "x" }), stop: ["the secret"] },
  "a member that is new": { ...ask({ role: "user", content: "x" }), novel: { deep: [["the secret"]] } },
  "an address of an image": ask({
    role: "user",
    content: [{ type: "image_url", image_url: { url: "https://example.com/the secret.png" } }],
  }),
};

describe("the services of a request", () => {
  const rules = [
    ["service_tier_allow", { serviceTierAllow: ["default"] }, { service_tier: "flex" }, { service_tier: "default" }],
    ["service_tier_allow", { serviceTierAllow: ["default"] }, { service_tier: "auto" }, {}],
    ["service_tier_allow", { serviceTierAllow: ["flex"] }, {}, { service_tier: "flex" }],
    ["service_tier_allow", { serviceTierAllow: ["default"] }, { serviceTier: "default" }, { service_tier: null }],
    ["modality_allow", { modalityAllow: ["text"] }, { modalities: ["text", "audio"] }, { modalities: ["text"] }],
    ["modality_allow", { modalityAllow: ["text"] }, { audio: { voice: "a" } }, {}],
    ["modality_allow", { modalityAllow: ["audio"] }, {}, { modalities: ["audio"] }],
    ["hosted_tool_allow", { hostedToolAllow: [] }, { web_search_options: {} }, {}],
    [
      "hosted_tool_allow",
      { hostedToolAllow: ["web_search"] },
      { tools: [{ type: "mcp" }] },
      { web_search_options: {} },
    ],
  ] as const;

  it.each(rules)(
    "are judged by %s: %j refuses %j and lets %j pass; in shadow mode it records",
    async (name, spec, refused, passes) => {
      const body = ask({ role: "user", content: "x" });
      const { denied } = await guarded([spec], { ...body, ...refused });
      expect(denied).toMatchObject({ status: 400, code: name.replace("_allow", "_not_allowed") });
      expect(denied?.denial).toMatchObject({ rule: `guardrail.${name}`, bindingId: "bnd_1" });
      expect((await guarded([spec], { ...body, ...passes })).passed).toBeDefined();
      const shadow = await guarded([spec], { ...body, ...refused }, "shadow");
      expect(shadow).toMatchObject({ rules: [`guardrail.${name}`] });
      expect(shadow.passed).toBeDefined();
      expect((await guarded([{}], { ...body, ...refused })).passed).toBeDefined();
    },
  );

  it("are refused as a whole by an empty list, and by any of several", async () => {
    const body = ask({ role: "user", content: "x" });
    for (const spec of [{ serviceTierAllow: [] }, { modalityAllow: [] }]) {
      expect((await guarded([spec], body)).denied).toBeDefined();
    }
    const both = [{ serviceTierAllow: ["default", "flex"] }, { serviceTierAllow: ["flex"] }];
    expect((await guarded(both, { ...body, service_tier: "default" })).denied).toBeDefined();
    expect((await guarded(both, { ...body, service_tier: "flex" })).passed).toBeDefined();
  });
});

describe("content of a request", () => {
  it.each(Object.entries(PLACES))("is judged in %s: redacted there and nowhere else, or blocked", async (_, body) => {
    const json = JSON.stringify(body, null, 1);
    const { passed } = await guarded([redact("(?i)secret")], json);
    expect(passed?.request.text).toBe(json.replace("secret", "[REDACTED]"));
    expect(Buffer.from(passed?.request.bytes ?? []).toString()).toBe(passed?.request.text);
    const { denied } = await guarded([block("secret")], json);
    expect(denied).toMatchObject({ status: 400, code: "content_blocked" });
    expect(denied?.denial).toMatchObject({ rule: "guardrail.content_patterns", pattern: "words", bindingId: "bnd_1" });
    expect(denied?.message).not.toContain("secret");
  });

  it("is judged without its JSON escapes, in duplicate members too", async () => {
    const escaped = String.raw`{"model":"m","messages":[{"role":"user","content":"se\u0063ret"}],"x":"secret","x":"SECRET","seed":12345678901234567890}`;
    const { passed } = await guarded([redact("(?i)secret")], escaped);
    expect(passed?.request.text).toBe(
      '{"model":"m","messages":[{"role":"user","content":"[REDACTED]"}],"x":"[REDACTED]","x":"[REDACTED]","seed":12345678901234567890}',
    );
  });

  it("does not include known names and ids, nor media in base64", async () => {
    const url = `data:image/png;base64,${Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1]).toString("base64")}`;
    const body = ask(
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url, detail: "low" } },
          { type: "text", text: "x" },
        ],
      },
      { role: "tool", tool_call_id: "call_user", content: "y" },
      { role: "user", content: [{ type: "input_audio", input_audio: { data: "UklGRgAA", format: "wav" } }] },
    );
    const { passed } = await guarded(
      [{ ...block("user|call|image|wav|low"), uninspectable: "pass" }, redact("text|m")],
      body,
    );
    expect(passed?.request.text).toBe(JSON.stringify(body));
  });

  it("bounds the tokens of the request as it is sent, not as the client wrote it", async () => {
    const body = ask({ role: "user", content: "a b ".repeat(100) });
    const { passed } = await guarded([redact("a")], body);
    const written = (await guarded([], body)).passed?.bounds.inputTokensMax ?? 0;
    const sent = ask({ role: "user", content: "[REDACTED] b ".repeat(100) });
    expect(passed?.bounds.inputTokensMax).toBe((await guarded([], sent)).passed?.bounds.inputTokensMax);
    expect(passed?.bounds.inputTokensMax).toBeGreaterThan(written + 200);
  });

  it("is refused where it cannot be judged: more patterns than are run, or more text than they can be run over", async () => {
    const many = Array.from({ length: MAX_COMPOSED_PATTERNS / 50 + 1 }, (_, guardrail): GuardrailSpec => ({
      contentPatterns: Array.from({ length: 50 }, (_, each) => ({
        name: `${each}`,
        pattern: `x${guardrail}y${each}`,
        action: "block",
        appliesTo: "response",
      })),
    }));
    const tooMany = await guarded(many, ask({ role: "user", content: "x" }));
    expect(tooMany.denied).toMatchObject({
      status: 400,
      code: "content_blocked",
      message: expect.stringContaining("more content patterns") as unknown,
    });
    expect((await guarded(many, ask({ role: "user", content: "x" }), "shadow")).passed).toBeDefined();
    const long = ask({ role: "user", content: "a".repeat(20_000) });
    const tooLong = await guarded([redact("aab")], long, "enforce", 20_000);
    expect(tooLong.denied).toMatchObject({
      code: "content_blocked",
      message: expect.stringContaining("too long") as unknown,
    });
  });
});

describe("the work of judging a request", () => {
  const texts = { ...ask({ role: "user", content: "x" }), many: Array.from({ length: 20_000 }, () => "") };

  it("is bounded for texts that are many and short, too", async () => {
    const { denied } = await guarded([redact("aab")], texts, "enforce", 2_000_000);
    expect(denied).toMatchObject({ code: "content_blocked", message: expect.stringContaining("too long") });
    expect((await guarded([redact("aab")], texts, "enforce")).passed).toBeDefined();
  });

  it.each(["enforce", "shadow"] as const)("stops once the request is cancelled: %s", async (mode) => {
    const controller = new AbortController();
    const judging = guarded(
      [redact("(a|b)*a(a|b){20}c")],
      ask({ role: "user", content: "ab".repeat(1_000_000) }),
      mode,
      undefined,
      controller.signal,
    );
    await setImmediate();
    controller.abort(new Error("gone"));
    await expect(judging).rejects.toThrow("gone");
  });
});

describe("a key that has used up its judging", () => {
  const spent = () => {
    const share = new JudgingMeter(() => 0).shareOf(callerWith([]) as CallingKey);
    share.spend(MAX_STEPS);
    return share;
  };

  it("is refused with 429 where content is to be judged, but not for what is judged without it", async () => {
    const body = ask({ role: "user", content: "x" });
    const refused = { status: 429, code: "judging_limit_exceeded", retryAfter: "10" };
    await expect(guarded([redact("aab")], body, "enforce", undefined, undefined, spent())).rejects.toMatchObject(
      refused,
    );
    const cheap = await guarded([redact("aab"), { modelAllow: [] }], body, "enforce", undefined, undefined, spent());
    expect(cheap.denied?.code).toBe("model_not_allowed");
    const small = await guarded([redact("a"), { maxRequestTokens: 1 }], body, "enforce", undefined, undefined, spent());
    expect(small.denied?.code).toBe("max_request_tokens_exceeded");
    expect(
      (await guarded([{ maxRequestTokens: 100_000 }], body, "enforce", undefined, undefined, spent())).passed,
    ).toBeDefined();
  });

  it("is refused while its request is being judged, too", async () => {
    const share = spent();
    share.spend(-3_000_000);
    const long = ask({ role: "user", content: "a".repeat(5_000_000) });
    const judging = guarded([redact("aab")], long, "enforce", undefined, undefined, share);
    await expect(judging).rejects.toMatchObject({ status: 429, code: "judging_limit_exceeded" });
  });

  it("is served under guardrails in shadow mode, without being judged by them", async () => {
    const { passed, rules } = await guarded(
      [block("x")],
      ask({ role: "user", content: "x" }),
      "shadow",
      undefined,
      undefined,
      spent(),
    );
    expect(passed).toBeDefined();
    expect(rules).toEqual([]);
  });
});

describe("the tokens of a request", () => {
  const body = ask({ role: "user", content: "x" });
  /** Template, message, and a text of one token. */
  const input = 12 + 5 + 2;

  it("are bounded by lowering an output bound that the client does not name", async () => {
    const { passed } = await guarded([{ maxRequestTokens: input + 10 }], body);
    expect(passed?.bounds).toEqual({ inputTokensMax: input, outputTokensMax: 10 });
    const three = await guarded([{ maxRequestTokens: input + 10 }], { ...body, n: 3 });
    expect(three.passed?.bounds.outputTokensMax).toBe(9);
  });

  it("are refused where that leaves nothing, and where the client names more", async () => {
    expect((await guarded([{ maxRequestTokens: input }], body)).denied?.denial?.rule).toBe(
      "guardrail.max_request_tokens",
    );
    const named = { ...body, max_tokens: 50 };
    const fits = input + 50;
    expect((await guarded([{ maxRequestTokens: fits - 1 }], named)).denied?.code).toBe("max_request_tokens_exceeded");
    expect((await guarded([{ maxRequestTokens: fits }], named)).passed?.bounds.outputTokensMax).toBe(50);
  });
});

describe("a loose bound of tokens", () => {
  const prose = ask({ role: "user", content: "The gateway judges what a key may ask for. ".repeat(2_000) });
  /** Template, message, and the text by its classes of characters; its bytes are 86,000. */
  const counted = 12 + 5 + boundText("The gateway judges what a key may ask for. ".repeat(2_000));

  it("is counted before it refuses a request or lowers its output", async () => {
    const named = { ...prose, max_tokens: 50 };
    const { passed } = await guarded([{ maxRequestTokens: counted + 50 }], named);
    expect(passed?.bounds).toEqual({ inputTokensMax: counted, outputTokensMax: 50 });
    const unnamed = await guarded([{ maxRequestTokens: counted + 4_096 }], prose);
    expect(unnamed.passed?.bounds.outputTokensMax).toBe(4_096);
    expect((await guarded([{ maxRequestTokens: counted + 49 }], named)).denied?.code).toBe(
      "max_request_tokens_exceeded",
    );
  });

  it("is counted before a guardrail in shadow mode reports it", async () => {
    const named = { ...prose, max_tokens: 50 };
    expect((await guarded([{ maxRequestTokens: counted + 50 }], named, "shadow")).rules).toEqual([]);
    expect((await guarded([{ maxRequestTokens: counted + 49 }], named, "shadow")).rules).toEqual([
      "guardrail.max_request_tokens",
    ]);
  });
});

describe("guardrails in shadow mode", () => {
  it("refuse nothing, change nothing and are all listed", async () => {
    const specs: readonly GuardrailSpec[] = [
      { modelAllow: [], allowStreaming: false, maxRequestTokens: 1 },
      { ...block("secret"), modelDeny: ["gpt-*"] },
      redact("the"),
      redact("nothing"),
    ];
    const body = { ...ask({ role: "user", content: "the secret" }), stream: true };
    const { passed, rules } = await guarded(specs, body, "shadow");
    expect(passed?.request.text).toBe(JSON.stringify(body));
    expect(passed?.bounds.outputTokensMax).toBe(4096);
    expect(rules.toSorted()).toEqual(
      [
        "allow_streaming",
        "content_patterns",
        "content_patterns",
        "max_request_tokens",
        "model_allow",
        "model_deny",
      ].map((rule) => `guardrail.${rule}`),
    );
  });
});

describe("a guard", () => {
  it("is created once for as long as the same guardrails apply", async () => {
    const guardOf = createGuards(fakeGuardrailDirectory([redact("x")]));
    const [one, other] = [await guardOf(callerWith([]) as CallingKey), await guardOf(callerWith([]) as CallingKey)];
    expect(other).toBe(one);
    expect(await other.rules()).toBe(await one.rules());
  });
});
