import { newId } from "@routeplane/domain";
import { expect, it } from "vitest";
import { createRequireValidSpec } from "./spec-rules.ts";

const patterns = (count: number) =>
  Array.from({ length: count }, (_, n) => {
    return { name: `p${n}`, pattern: `x${n}[a-z]`, action: "block", appliesTo: "both" } as const;
  });

it("compiles the guardrails of one namespace one by one, refuses more than wait, and delays no other namespace", async () => {
  const requireValidSpec = createRequireValidSpec();
  const [flooding, other] = [newId("ns"), newId("ns")];
  const ends: string[] = [];
  const compile = async (name: string, namespaceId: typeof other, count: number) => {
    const inRequest = { guardrail: { contentPatterns: patterns(count) }, fieldPrefix: "spec." };
    const instructions = await requireValidSpec(namespaceId, inRequest);
    ends.push(name);
    return instructions;
  };
  const flood = Array.from({ length: 60 }, (_, n) => compile(`flood ${n}`, flooding, 50));
  const single = compile("single", other, 40);
  const outcomes = await Promise.allSettled(flood);
  await single;
  expect(ends).toEqual(["single", ...Array.from({ length: 51 }, (_, n) => `flood ${n}`)]);
  const refused = outcomes.filter((outcome) => outcome.status === "rejected");
  expect(refused).toHaveLength(9);
  for (const { reason } of refused)
    expect(reason).toMatchObject({ code: "resource_exhausted", reason: "LIMIT_REACHED" });
  expect(await requireValidSpec(flooding, { guardrail: { modelAllow: [] }, fieldPrefix: "spec." })).toBe(0);
  expect(await compile("later", flooding, 2)).toBeGreaterThan(0);
});
