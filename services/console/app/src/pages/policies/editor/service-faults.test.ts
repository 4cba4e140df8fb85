import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import { expect, test } from "vitest";
import { serviceFaults } from "./service-faults.ts";

function refusal(field: string): ConnectError {
  const value = create(BadRequestSchema, { fieldViolations: [{ field, description: "is wrong" }] });
  return new ConnectError("x", Code.InvalidArgument, undefined, [{ desc: BadRequestSchema, value }]);
}

test("assigns a fault to its field of the form", () => {
  const pathOf = (field: string, kind: Parameters<typeof serviceFaults>[1]) => [
    ...serviceFaults(refusal(field), kind).keys(),
  ];
  expect(pathOf("spec.budget.limit_micro_usd", "budget")).toEqual(["spec.limit_micro_usd"]);
  expect(pathOf("spec.guardrail.content_patterns[2].pattern", "guardrail")).toEqual([
    "spec.content_patterns[2].pattern",
  ]);
  expect(pathOf("spec.preset.guardrail.model_allow.models[1]", "preset")).toEqual(["spec.guardrail.model_allow[1]"]);
  expect(pathOf("spec.guardrail.hosted_tool_allow.tools[0]", "guardrail")).toEqual(["spec.hosted_tool_allow[0]"]);
  expect(pathOf("name", "budget")).toEqual(["name"]);
});

test("assigns a taken name to the name, and other refusals to no field", () => {
  const value = create(ErrorInfoSchema, { reason: "NAME_TAKEN", domain: "routeplane" });
  const taken = new ConnectError("name: is taken", Code.AlreadyExists, undefined, [{ desc: ErrorInfoSchema, value }]);
  expect(serviceFaults(taken, "budget")).toEqual(new Map([["name", "is taken"]]));
  expect(serviceFaults(new ConnectError("down", Code.Unavailable), "budget")).toEqual(new Map());
});
