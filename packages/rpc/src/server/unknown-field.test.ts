import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { MintKeyRequestSchema } from "@routeplane/contracts/auth";
import { CreatePolicyRequestSchema, PolicySpecSchema } from "@routeplane/contracts/policy";
import { describe, expect, it } from "vitest";
import { unknownFieldPath } from "./unknown-field.ts";

describe("the path of an unknown field", () => {
  const stray = new BinaryWriter().tag(99, WireType.Varint).uint32(1).finish();

  it("is found at the top and further down", () => {
    const top = fromBinary(
      MintKeyRequestSchema,
      Buffer.concat([toBinary(MintKeyRequestSchema, create(MintKeyRequestSchema)), stray]),
    );
    expect(unknownFieldPath(MintKeyRequestSchema, top)).toBe("99");
    const bytes = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(stray).finish();
    const spec = fromBinary(PolicySpecSchema, bytes);
    expect(unknownFieldPath(CreatePolicyRequestSchema, create(CreatePolicyRequestSchema, { spec }))).toBe(
      "spec.budget.99",
    );
  });

  it("is undefined without an unknown field", () => {
    const spec = { kind: { case: "budget" as const, value: { limitMicroUsd: 5n } } };
    expect(unknownFieldPath(CreatePolicyRequestSchema, create(CreatePolicyRequestSchema, { spec }))).toBeUndefined();
  });
});
