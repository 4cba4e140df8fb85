import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { KeySchema, MintKeyRequestSchema, UpdateKeyRequestSchema } from "@routeplane/contracts/auth";
import { CreatePolicyRequestSchema, PolicySpecSchema } from "@routeplane/contracts/policy";
import { describe, expect, it } from "vitest";
import { unknownField, unknownNumber } from "./unknown-field.ts";

describe("a field that is not known is named by its path", () => {
  const patterns = [{ name: "a" }, { name: "b", appliesTo: 1, applies_to: 1 }, { name: "c", foo: 1 }];
  it.each([
    [{ foo: 1 }, "foo"],
    [{ spec: { foo: 1 } }, "spec.foo"],
    [{ name: "a", spec: { rateLimit: { windowSecs: 60, maxCost: 5 } } }, "spec.rate_limit.maxCost"],
    [{ spec: { guardrail: { contentPatterns: patterns } } }, "spec.guardrail.content_patterns[2].foo"],
    [{ spec: { preset: { guardrail: { model_allow: { model: [] } } } } }, "spec.preset.guardrail.model_allow.model"],
  ])("%j", (json, path) => {
    expect(unknownField(CreatePolicyRequestSchema, json)).toBe(path);
  });

  it.each([{}, { spec: { budget: { limit_micro_usd: "5" } } }, { spec: [] }, { "not a name": 1 }, [], null, "text"])(
    "not where there is none, nothing to descend into, or no name to repeat: %j",
    (json) => {
      expect(unknownField(CreatePolicyRequestSchema, json)).toBeUndefined();
    },
  );

  it("not in what has a JSON of its own", () => {
    expect(unknownField(UpdateKeyRequestSchema, { updateMask: "name", expiresAt: {} })).toBeUndefined();
    expect(unknownField(KeySchema, { createdAt: { seconds: 1 } })).toBeUndefined();
  });
});

describe("a number that is no field's is named by its path", () => {
  const stray = new BinaryWriter().tag(99, WireType.Varint).uint32(1).finish();

  it("at the top and further down", () => {
    const top = fromBinary(
      MintKeyRequestSchema,
      Buffer.concat([toBinary(MintKeyRequestSchema, create(MintKeyRequestSchema)), stray]),
    );
    expect(unknownNumber(MintKeyRequestSchema, top)).toBe("99");
    const bytes = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(stray).finish();
    const spec = fromBinary(PolicySpecSchema, bytes);
    expect(unknownNumber(CreatePolicyRequestSchema, create(CreatePolicyRequestSchema, { spec }))).toBe(
      "spec.budget.99",
    );
  });

  it("not where there is none", () => {
    const spec = { kind: { case: "budget" as const, value: { limitMicroUsd: 5n } } };
    expect(unknownNumber(CreatePolicyRequestSchema, create(CreatePolicyRequestSchema, { spec }))).toBeUndefined();
  });
});
