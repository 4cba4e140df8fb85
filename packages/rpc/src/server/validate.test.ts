import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { BadRequestSchema } from "@routeplane/contracts/google-rpc";
import { type CreatePolicyRequestSchema, PolicyService } from "@routeplane/contracts/policy";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { mapErrors } from "./map-errors.ts";
import { validate } from "./validate.ts";

type Spec = MessageInitShape<typeof CreatePolicyRequestSchema>["spec"];

const transport = createRouterTransport(({ service }) => service(PolicyService, { createPolicy: () => ({}) }), {
  router: { interceptors: [mapErrors(createLogger("test", (line) => line, "silent")), validate()] },
});
const policies = createClient(PolicyService, transport);

async function faultsOf(spec: Spec) {
  const error = ConnectError.from(await policies.createPolicy({ name: "a", spec }).catch((error: unknown) => error));
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return violations.map(({ field, description }) => ({ field, rule: description }));
}

const budget = (value: object): Spec => ({ kind: { case: "budget", value } });

describe("a message that breaks a rule of its schema", () => {
  it.each([
    ["a window that is none", budget({ limitMicroUsd: 5n, window: 9 }), "spec.budget.window"],
    ["no window", budget({ limitMicroUsd: 5n }), "spec.budget.window"],
  ])("is told the names that it may give: %s", async (_, spec, field) => {
    expect(await faultsOf(spec)).toEqual([
      { field, rule: expect.stringMatching(/^must be one of BUDGET_WINDOW_HOUR, .*BUDGET_WINDOW_TOTAL$/) },
    ]);
  });

  it("is told which of them to set where there is a choice", async () => {
    const rule = "must set exactly one of budget, guardrail, rate_limit, preset";
    expect(await faultsOf({})).toEqual([{ field: "spec", rule }]);
  });
});
