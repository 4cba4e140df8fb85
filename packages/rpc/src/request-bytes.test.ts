import { fromJsonString } from "@bufbuild/protobuf";
import { AdmissionService, GuardrailService, PolicyService } from "@routeplane/contracts/policy";
import { UsageService } from "@routeplane/contracts/usage";
import { expect, it } from "vitest";
import { isInternal, publishedServices } from "./access.ts";
import { requestBytesOf } from "./request-bytes.ts";

it("allows 64 KiB to a management request, 1 MiB to one with guardrails, and as much between services", () => {
  expect(requestBytesOf(UsageService.method.listRequests)).toBe(65_536);
  expect(requestBytesOf(PolicyService.method.bindPolicy)).toBe(65_536);
  expect(requestBytesOf(PolicyService.method.createPolicy)).toBe(1_048_576);
  expect(requestBytesOf(GuardrailService.method.updateGuardrail)).toBe(1_048_576);
  expect(requestBytesOf(AdmissionService.method.admit)).toBe(1_048_576);
});

it("allows 1 MiB to the requests from outside with guardrails only", () => {
  const methods = Object.values(publishedServices())
    .flat()
    .flatMap((service) => service.methods);
  const exceptions = methods
    .filter((method) => !isInternal(method) && requestBytesOf(method) === 1_048_576)
    .map(({ name }) => name);
  expect(exceptions.toSorted()).toEqual([
    "BindMintedLimits",
    "CreateGuardrail",
    "CreatePolicy",
    "CreatePreset",
    "MintKey",
    "MintRootKey",
    "SimulatePolicy",
    "UpdateGuardrail",
    "UpdatePolicy",
    "UpdatePreset",
  ]);
});

it("takes the largest guardrail that the contract allows, as JSON with every character escaped", () => {
  const text = (count: number) => "\\ud83d\\ude00".repeat(count);
  const list = (count: number, item: string) => Array.from({ length: count }, () => item).join(",");
  const models = `{"models":[${list(100, `"${text(256)}"`)}]}`;
  const pattern = `{"name":"${text(64)}","pattern":"${text(512)}","action":"PATTERN_ACTION_REDACT","appliesTo":"PATTERN_SCOPE_RESPONSE"}`;
  const guardrail = `{"modelAllow":${models},"modelDeny":${models},"contentPatterns":[${list(50, pattern)}]}`;
  const request = `{"name":"${text(100)}","spec":{"guardrail":${guardrail}}}`;
  expect(() => fromJsonString(PolicyService.method.createPolicy.input, request)).not.toThrow();
  expect(Buffer.byteLength(request)).toBeLessThan(requestBytesOf(PolicyService.method.createPolicy));
});
