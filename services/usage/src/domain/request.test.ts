import { MAX_REQUEST_COST_NANO_USD, MAX_REQUEST_TOKENS } from "@routeplane/domain";
import { describe, expect, test } from "vitest";
import { pendingRequest, settledRequest } from "../../test/requests.ts";
import { findFault, type LoggedRequest } from "./request.ts";

describe("findFault", () => {
  test.each<[string, Partial<LoggedRequest>, string]>([
    ["negative tokens", { promptTokens: -1n }, "prompt_tokens: must be from 0"],
    ["absurd tokens", { completionTokens: 10n ** 12n + 1n }, "completion_tokens: must be from 0"],
    ["a negative cost", { costNanoUsd: -1n }, "cost_nano_usd: must be from 0"],
    [
      "a cost beyond that of any request",
      { costNanoUsd: MAX_REQUEST_COST_NANO_USD + 1n },
      "cost_nano_usd: must be from 0",
    ],
    ["an absurd reservation", { reservedNanoUsd: 2n ** 62n }, "reserved_nano_usd: must be from 0"],
    ["a settlement without its time", { completedAt: undefined }, "completed_at: is required"],
    ["no time at all", { createdAt: new Date(Number.NaN) }, "created_at: must be a time"],
    ["a time outside the calendar", { completedAt: new Date(8.64e15) }, "completed_at: must be a time"],
  ])("refuses %s, naming the field", (_, given, fault) => {
    expect(findFault(settledRequest(pendingRequest(), given))).toContain(fault);
  });

  test("finds none in the most expensive request that a gateway can charge", () => {
    const most = { promptTokens: BigInt(MAX_REQUEST_TOKENS), completionTokens: BigInt(MAX_REQUEST_TOKENS) };
    const amounts = { costNanoUsd: MAX_REQUEST_COST_NANO_USD, reservedNanoUsd: MAX_REQUEST_COST_NANO_USD };
    expect(findFault(settledRequest(pendingRequest(), { ...most, ...amounts }))).toBeUndefined();
  });

  test("finds none in the events of gateways", () => {
    expect(findFault(pendingRequest())).toBeUndefined();
    expect(findFault(settledRequest(pendingRequest()))).toBeUndefined();
  });
});
