import { type Id, newId } from "@routeplane/domain";
import type { GuardrailSpec } from "@routeplane/guardrails";
import { breakable, eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, startPolicyUnderTest } from "../../../policy/test/policy-under-test.ts";
import { createGuardrailDirectory } from "../../src/clients/guardrail-directory.ts";
import type { AppliedGuardrail, GuardrailDirectory } from "../../src/domain/ports/guardrail-directory.ts";
import type { CallingKey } from "../../src/domain/ports/key-verifier.ts";
import { fakeGuardrailDirectory } from "../fake-guardrail-directory.ts";

/** Contract of `GuardrailDirectory`, which the client of the policy service and its fake fulfil. */

/** An implementation, and a namespace whose guardrails the test sets. */
interface Subject {
  readonly directory: GuardrailDirectory;
  readonly namespaceId: Id<"ns">;
  /** Binds a guardrail to the namespace. */
  readonly bind: (spec: GuardrailSpec, mode: AppliedGuardrail["mode"]) => Promise<void>;
  /** Makes the source of guardrails unreachable. */
  readonly goDown: () => void;
}

let policy: PolicyUnderTest;
const started: { stop(): Promise<void> }[] = [];
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(async () => {
  await Promise.all(started.map((component) => component.stop()));
  await policy.stop();
});

const implementations: [string, () => Subject][] = [
  [
    "the client of the policy service",
    () => {
      const transport = breakable(policy.subscriber());
      const directory = createGuardrailDirectory(transport);
      started.push(directory);
      const namespaceId = newId("ns");
      return {
        directory,
        namespaceId,
        async bind(spec, mode) {
          await policy.bound(namespaceId, { kind: "guardrail", ...spec }, undefined, mode);
        },
        goDown: () => void (transport.callsFail = true),
      };
    },
  ],
  [
    "the fake",
    () => {
      const namespaceId = newId("ns");
      const directory = fakeGuardrailDirectory([], "enforce", namespaceId);
      return {
        directory,
        namespaceId,
        bind: async (spec, mode) => directory.bind(spec, mode),
        goDown: () => void (directory.isDown = true),
      };
    },
  ],
];

function callerIn(namespaceId: Id<"ns">): CallingKey {
  const keyId = newId("key");
  return { kind: "key", keyId, namespaceId, scopes: [], lineage: [keyId] };
}

describe.each(implementations)("%s as the guardrail directory", (_, start) => {
  it("has no guardrails for a key to which none is bound", async () => {
    const { directory, namespaceId } = start();
    expect(await directory.listApplied(callerIn(namespaceId))).toEqual([]);
  });

  it("names policy, binding, principal, mode and spec of every guardrail, in the order of binding", async () => {
    const { directory, namespaceId, bind } = start();
    await bind({ allowStreaming: false }, "enforce");
    await bind({ modelDeny: ["gpt-4*"] }, "shadow");
    const common = {
      policyId: expect.stringMatching(/^pol_/) as string,
      policyName: expect.any(String) as string,
      bindingId: expect.stringMatching(/^bnd_/) as string,
      principalType: "namespace",
      principalId: namespaceId,
    };
    expect(await directory.listApplied(callerIn(namespaceId))).toEqual([
      { ...common, mode: "enforce", spec: { allowStreaming: false } },
      { ...common, mode: "shadow", spec: { modelDeny: ["gpt-4*"] } },
    ]);
  });

  it("returns the same array while nothing has changed, for every key to which the same guardrails apply", async () => {
    const { directory, namespaceId, bind } = start();
    await bind({ allowStreaming: false }, "enforce");
    const caller = callerIn(namespaceId);
    const guardrails = await directory.listApplied(caller);
    expect(await directory.listApplied(caller)).toBe(guardrails);
    expect(await directory.listApplied(callerIn(namespaceId))).toBe(guardrails);
  });

  it("returns another array after a change, and leaves the first one as it was", async () => {
    const { directory, namespaceId, bind } = start();
    const caller = callerIn(namespaceId);
    const before = await directory.listApplied(caller);
    await bind({ allowStreaming: false }, "enforce");
    await eventually(async () => (await directory.listApplied(caller)).length === 1);
    expect(before).toEqual([]);
  });

  it("rejects as UNAVAILABLE while its source does not answer, rather than with an empty list", async () => {
    const { directory, namespaceId, goDown } = start();
    goDown();
    await expect(directory.listApplied(callerIn(namespaceId))).rejects.toMatchObject({
      name: "DomainError",
      code: "unavailable",
      metadata: { dependency: "policy" },
    });
  });
});
