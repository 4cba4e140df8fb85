import { AdmissionService, GuardrailService, PolicyService } from "@routeplane/contracts/policy";
import { UsageService } from "@routeplane/contracts/usage";
import { expect, it } from "vitest";
import { publishedServices } from "./access.ts";
import { requestBytesOf } from "./request-bytes.ts";

it("allows 64 KiB to a management request, 512 KiB to one with guardrails, and 1 MiB between services", () => {
  expect(requestBytesOf(UsageService.method.listRequests)).toBe(65_536);
  expect(requestBytesOf(PolicyService.method.bindPolicy)).toBe(65_536);
  expect(requestBytesOf(PolicyService.method.createPolicy)).toBe(524_288);
  expect(requestBytesOf(GuardrailService.method.updateGuardrail)).toBe(524_288);
  expect(requestBytesOf(AdmissionService.method.admit)).toBe(1_048_576);
});

it("allows 512 KiB to the requests with guardrails only", () => {
  const methods = Object.values(publishedServices())
    .flat()
    .flatMap((service) => service.methods);
  const exceptions = methods.filter((method) => requestBytesOf(method) === 524_288).map(({ name }) => name);
  expect(exceptions.toSorted()).toEqual([
    "CreateGuardrail",
    "CreatePolicy",
    "CreatePreset",
    "SimulatePolicy",
    "UpdateGuardrail",
    "UpdatePolicy",
    "UpdatePreset",
  ]);
});
