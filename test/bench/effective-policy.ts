import { newId } from "@routeplane/domain";
import type { PolicySpec } from "@routeplane/policy-spec";
import type { Applied } from "../../services/policy/src/domain/effective/applied-policy.ts";
import { composePolicies } from "../../services/policy/src/domain/effective/effective-policy.ts";

/** Measures the composition of the effective policy of a key at the end of a lineage of 5, with 20 bindings on the lineage. */

const ROUNDS = 20_000;
const namespaceId = newId("ns");
const lineage = Array.from({ length: 5 }, () => newId("key"));

const pattern = (name: string) => ({ name, pattern: `${name}-[0-9]{4}`, action: "redact", appliesTo: "both" }) as const;

/** Policies in turns: a guardrail, a budget, a rate limit and a preset of all three. */
function specOf(index: number): PolicySpec {
  const guardrail = {
    modelAllow: ["gpt-4o*", "echo", `model-${index}`],
    modelDeny: ["o1*", `secret-${index % 3}`],
    maxRequestTokens: 1_000 + index,
    contentPatterns: Array.from({ length: 5 }, (_, count) => pattern(`p${index}-${count}`)),
  };
  const budget = { window: "day", limitMicroUsd: BigInt(1_000_000 + index) } as const;
  const rateLimit = { windowSecs: 60, maxRequests: 100n };
  switch (index % 4) {
    case 0:
      return { kind: "guardrail", ...guardrail };
    case 1:
      return { kind: "budget", ...budget };
    case 2:
      return { kind: "rate_limit", ...rateLimit };
    default:
      return { kind: "preset", guardrail, budget, rateLimit };
  }
}

const applied = Array.from({ length: 20 }, (_, index): Applied<PolicySpec> => {
  const id = lineage[index % 6];
  const principal =
    id === undefined ? ({ type: "namespace", id: namespaceId } as const) : ({ type: "api_key", id } as const);
  const ids = { policyId: newId("pol"), bindingId: newId("bnd"), policyName: `policy ${index}` };
  return { ...ids, principal, mode: index % 10 === 9 ? "shadow" : "enforce", spec: specOf(index) };
});

for (let round = 0; round < ROUNDS / 10; round++) composePolicies(applied);
const took = new Float64Array(ROUNDS);
const before = process.cpuUsage();
for (let round = 0; round < ROUNDS; round++) {
  const from = performance.now();
  composePolicies(applied);
  took[round] = (performance.now() - from) * 1_000;
}
const { user, system } = process.cpuUsage(before);
took.sort();
const at = (share: number): string => `${(took[Math.floor((ROUNDS - 1) * share)] ?? 0).toFixed(1)} us`;
process.stdout.write(`5 keys deep, 20 bindings: p50 ${at(0.5)}   p99 ${at(0.99)}`);
// CPU time of all threads, which excludes other load on the machine.
process.stdout.write(`   CPU ${((user + system) / ROUNDS).toFixed(1)} us each\n`);
