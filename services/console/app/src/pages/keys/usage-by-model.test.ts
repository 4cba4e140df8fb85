import { create } from "@bufbuild/protobuf";
import { UsageGroupSchema } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { usageByModel } from "./usage-by-model.ts";

const group = (model: string, spendMicroUsd: bigint, deniedCount = 0n) =>
  create(UsageGroupSchema, {
    model,
    spendMicroUsd,
    deniedCount,
    requestCount: 1n,
    promptTokens: 2n,
    completionTokens: 3n,
  });

test("adds up the groups of each model exactly, the most expensive first", () => {
  const groups = [group("a", 1n), group("b", 9_007_199_254_740_993n, 1n), group("a", 2n)];
  expect(usageByModel(groups)).toEqual([
    {
      model: "b",
      requestCount: 1n,
      deniedCount: 1n,
      promptTokens: 2n,
      completionTokens: 3n,
      spendMicroUsd: 9_007_199_254_740_993n,
    },
    { model: "a", requestCount: 2n, deniedCount: 0n, promptTokens: 4n, completionTokens: 6n, spendMicroUsd: 3n },
  ]);
});
