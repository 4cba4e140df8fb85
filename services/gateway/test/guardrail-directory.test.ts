import { DomainError, type Id, newId } from "@routeplane/domain";
import { type BreakableTransport, breakable, eventually } from "@routeplane/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, startPolicyUnderTest } from "../../policy/test/policy-under-test.ts";
import { createGuardrailDirectory, type GuardrailDirectoryOptions } from "../src/clients/guardrail-directory.ts";
import type { AppliedGuardrail } from "../src/domain/ports/guardrail-directory.ts";
import type { CallingKey } from "../src/domain/ports/key-verifier.ts";

/** The directory of a gateway that calls one process of the policy service, while policies are changed through another one. */

let policy: PolicyUnderTest;
const started: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((component) => component.stop()));
});
afterAll(() => policy.stop());

const NO_STREAMS = { kind: "guardrail", allowStreaming: false } as const;
const NO_MODELS = { kind: "guardrail", modelAllow: [] } as const;

function callerIn(namespaceId: Id<"ns">, parent?: CallingKey): CallingKey {
  const keyId = newId("key");
  return { kind: "key", keyId, namespaceId, scopes: [], lineage: [...(parent?.lineage ?? []), keyId] };
}

interface DirectoryUnderTest {
  readonly transport: BreakableTransport;
  readonly guardrailsOf: (caller: CallingKey) => Promise<readonly AppliedGuardrail[]>;
  /** Finds the guardrails of a key. Resolves to the members of their specs, or to the reason of the error. */
  readonly summaryOf: (caller: CallingKey) => Promise<string>;
}

/** Starts a directory whose change feed is live. */
async function startDirectory(options: GuardrailDirectoryOptions = {}): Promise<DirectoryUnderTest> {
  const transport = breakable(policy.subscriber());
  const directory = createGuardrailDirectory(transport, options);
  started.push(directory);
  const guardrailsOf = async (caller: CallingKey) => directory.listApplied(caller);
  const summaryOf = (caller: CallingKey): Promise<string> =>
    guardrailsOf(caller).then(
      (guardrails) => guardrails.map(({ spec }) => Object.keys(spec).join("+")).join(", "),
      (error: unknown) => (error instanceof DomainError ? error.reason : String(error)),
    );
  const anyone = callerIn(newId("ns"));
  // An answer is cached only once the feed is live.
  await eventually(async () => {
    await summaryOf(anyone);
    const { calls } = transport;
    return (await summaryOf(anyone)) === "" && transport.calls === calls;
  });
  return { transport, guardrailsOf, summaryOf };
}

/** A stopped clock: no cache entry expires, and the feed never times out. */
const timeless: GuardrailDirectoryOptions = { monotonic: () => 1_000_000 };

/** Makes a key whose guardrails, one on its namespace, are cached. */
async function warmKey({ transport, summaryOf }: DirectoryUnderTest) {
  const namespaceId = newId("ns");
  const bound = await policy.bound(namespaceId, NO_STREAMS);
  const caller = callerIn(namespaceId);
  // Cached once every change of the binding was received.
  await eventually(async () => {
    const { calls } = transport;
    return (await summaryOf(caller)) === "allowStreaming" && transport.calls === calls;
  });
  return { namespaceId, caller, ...bound };
}

const until = async ({ summaryOf }: DirectoryUnderTest, caller: CallingKey, answer: string): Promise<void> => {
  await eventually(async () => (await summaryOf(caller)) === answer);
};

describe("the guardrails of a warm key", () => {
  it("change with a binding that another process makes, without a call in between", async () => {
    const subject = await startDirectory(timeless);
    const { namespaceId, caller } = await warmKey(subject);
    const { changesDelivered: delivered, calls } = subject.transport;
    await policy.bound(namespaceId, NO_MODELS, caller.keyId, "shadow");
    await eventually(() => subject.transport.changesDelivered > delivered);
    expect(subject.transport.calls).toBe(calls);
    expect(await subject.guardrailsOf(caller)).toMatchObject([
      { mode: "enforce", principalType: "namespace", principalId: namespaceId, spec: { allowStreaming: false } },
      { mode: "shadow", principalType: "api_key", principalId: caller.keyId, spec: { modelAllow: [] } },
    ]);
  });

  it("change when a policy is disabled, without a call for other namespaces", async () => {
    const subject = await startDirectory(timeless);
    const [changed, other] = [await warmKey(subject), await warmKey(subject)];
    await policy.disable(changed.policy.id);
    await until(subject, changed.caller, "");
    const { calls } = subject.transport;
    expect(await subject.summaryOf(other.caller)).toBe("allowStreaming");
    expect(subject.transport.calls).toBe(calls);
  });

  it("include those of every key above it", async () => {
    const subject = await startDirectory(timeless);
    const { namespaceId, caller: parent } = await warmKey(subject);
    const child = callerIn(namespaceId, parent);
    expect(await subject.summaryOf(child)).toBe("allowStreaming");
    await policy.bound(namespaceId, NO_MODELS, parent.keyId);
    await until(subject, child, "allowStreaming, modelAllow");
  });

  it("are one array for all keys with the same guardrails, also after an unrelated change", async () => {
    const subject = await startDirectory(timeless);
    const { namespaceId, caller } = await warmKey(subject);
    const before = await subject.guardrailsOf(caller);
    expect(await subject.guardrailsOf(callerIn(namespaceId))).toBe(before);
    const { changesDelivered: delivered, calls } = subject.transport;
    await policy.budget(namespaceId, 5n);
    await eventually(() => subject.transport.changesDelivered > delivered);
    expect(await subject.guardrailsOf(caller)).toBe(before);
    expect(subject.transport.calls).toBe(calls + 1);
  });

  it("are read again at their maximum age, even while the feed is live", async () => {
    const time = { now: 0 };
    const subject = await startDirectory({ monotonic: () => time.now, maxAgeMs: 30_000 });
    const { caller } = await warmKey(subject);
    const { calls } = subject.transport;
    for (let passed = 0; passed < 28; passed += 2) {
      time.now += 2_000;
      const { changesDelivered: delivered } = subject.transport;
      await policy.bound(newId("ns"), NO_STREAMS);
      await eventually(() => subject.transport.changesDelivered > delivered);
      expect(await subject.summaryOf(caller)).toBe("allowStreaming");
    }
    expect(subject.transport.calls).toBe(calls);
    time.now += 2_000;
    expect(await subject.summaryOf(caller)).toBe("allowStreaming");
    expect(subject.transport.calls).toBe(calls + 1);
  });
});

describe("a call to policy", () => {
  it("is shared by all requests of one key that come at once", async () => {
    const subject = await startDirectory();
    const caller = callerIn(newId("ns"));
    const { calls } = subject.transport;
    expect(await Promise.all(Array.from({ length: 20 }, () => subject.summaryOf(caller)))).toEqual(Array(20).fill(""));
    expect(subject.transport.calls).toBe(calls + 1);
  });

  it("that a change overtakes serves the requests from before the change, and no later ones", async () => {
    const subject = await startDirectory(timeless);
    const namespaceId = newId("ns");
    const caller = callerIn(namespaceId);
    const gate = Promise.withResolvers<void>();
    subject.transport.gate = gate.promise;
    const { callsAnswered: answered, changesDelivered: delivered, calls } = subject.transport;
    const before = [subject.summaryOf(caller), subject.summaryOf(caller)];
    await eventually(() => subject.transport.callsAnswered > answered);
    await policy.bound(namespaceId, NO_STREAMS);
    await eventually(() => subject.transport.changesDelivered > delivered);
    const after = [subject.summaryOf(caller), subject.summaryOf(caller)];
    await eventually(() => subject.transport.callsAnswered > answered + 1);
    gate.resolve();
    expect(await Promise.all(before)).toEqual(["", ""]);
    expect(await Promise.all(after)).toEqual(["allowStreaming", "allowStreaming"]);
    expect(await subject.summaryOf(caller)).toBe("allowStreaming");
    expect(subject.transport.calls).toBe(calls + 2);
  });

  it("is answered even while changes overtake every answer, with everything that was bound before it", async () => {
    const subject = await startDirectory();
    const { namespaceId, caller } = await warmKey(subject);
    const { policy: churned } = await policy.budget(namespaceId, 5n);
    const quiet = await warmKey(subject);
    const churn = { stopped: false };
    /** Holds every answer until another change was delivered. */
    const churnWhileAnswersWait = async (): Promise<void> => {
      while (!churn.stopped) {
        const gate = Promise.withResolvers<void>();
        subject.transport.gate = gate.promise;
        const { callsAnswered: answered, changesDelivered: delivered } = subject.transport;
        await eventually(() => churn.stopped || subject.transport.callsAnswered > answered);
        await policy.disable(churned.id);
        await eventually(() => subject.transport.changesDelivered > delivered);
        gate.resolve();
      }
    };
    const churning = churnWhileAnswersWait();
    try {
      for (let round = 0; round < 15; round++) {
        const answers = await Promise.all([1, 2, 3].map(() => subject.summaryOf(caller)));
        expect(answers).toEqual(["allowStreaming", "allowStreaming", "allowStreaming"]);
        expect(await subject.summaryOf(quiet.caller)).toBe("allowStreaming");
      }
      await policy.bound(namespaceId, NO_MODELS);
      await until(subject, caller, "allowStreaming, modelAllow");
      for (let round = 0; round < 5; round++)
        expect(await subject.summaryOf(caller)).toBe("allowStreaming, modelAllow");
    } finally {
      churn.stopped = true;
      await churning;
    }
  });

  it("is made for the least recently used keys, once there are more than fit into the cache", async () => {
    const subject = await startDirectory({ ...timeless, maxBytes: 16_384 });
    const namespaceId = newId("ns");
    const callsFor = async (callers: readonly CallingKey[]): Promise<number> => {
      const { calls } = subject.transport;
      for (const caller of callers) await subject.summaryOf(caller);
      return subject.transport.calls - calls;
    };
    const hot = Array.from({ length: 5 }, () => callerIn(namespaceId));
    const cold = Array.from({ length: 100 }, () => callerIn(newId("ns")));
    expect(await callsFor(hot)).toBe(5);
    for (const caller of cold) {
      expect(await callsFor([caller])).toBe(1);
      expect(await callsFor(hot)).toBe(0);
    }
    expect(await callsFor(cold)).toBeGreaterThan(50);
  });

  it("is made again for keys whose guardrails were evicted, and for no others", async () => {
    const subject = await startDirectory({ ...timeless, maxBytes: 16_384 });
    const { namespaceId, caller } = await warmKey(subject);
    const { calls } = subject.transport;
    const large = {
      kind: "guardrail",
      modelDeny: Array.from({ length: 60 }, (_, index) => `model-${index}-*`),
    } as const;
    await policy.bound(namespaceId, large, caller.keyId);
    await until(subject, caller, "allowStreaming, modelDeny");
    await subject.summaryOf(caller);
    const { calls: before } = subject.transport;
    expect(before).toBeGreaterThan(calls);
    // Larger than the memory of the cache: served, and not kept.
    expect(await subject.summaryOf(caller)).toBe("allowStreaming, modelDeny");
    expect(subject.transport.calls).toBe(before + 1);
  });
});

describe("a change that is lost in transit", () => {
  it("is noticed at the next change, of any namespace: everything is read again", async () => {
    const subject = await startDirectory(timeless);
    const [lost, next] = [await warmKey(subject), await warmKey(subject)];
    subject.transport.changesToLose = 1;
    await policy.disable(lost.policy.id);
    await eventually(() => subject.transport.changesToLose === 0);
    const { changesDelivered: delivered } = subject.transport;
    await policy.disable(next.policy.id);
    await eventually(() => subject.transport.changesDelivered > delivered);
    expect([await subject.summaryOf(lost.caller), await subject.summaryOf(next.caller)]).toEqual(["", ""]);
  });

  it("is noticed within about a second if no other follows", async () => {
    const subject = await startDirectory(timeless);
    const { policy: made, caller } = await warmKey(subject);
    const { changesDelivered: delivered } = subject.transport;
    subject.transport.changesToLose = 1;
    await policy.disable(made.id);
    await until(subject, caller, "");
    expect(subject.transport.changesDelivered).toBe(delivered);
  });

  it("is noticed by the policy service when its own connection was closed", async () => {
    const subject = await startDirectory(timeless);
    const { policy: made, caller } = await warmKey(subject);
    expect(await policy.terminateSubscriptions()).toBeGreaterThan(0);
    await policy.disable(made.id);
    await until(subject, caller, "");
  });
});

describe("a feed that has stopped", () => {
  it("is noticed within 5 s: guardrails are read by call until it is back", async () => {
    const subject = await startDirectory();
    const [changed, same] = [await warmKey(subject), await warmKey(subject)];
    subject.transport.feedStalled = true;
    const silentSince = performance.now();
    await policy.disable(changed.policy.id);
    await until(subject, changed.caller, "");
    expect(performance.now() - silentSince).toBeLessThan(5_000);
    const { calls } = subject.transport;
    for (let round = 0; round < 3; round++) expect(await subject.summaryOf(same.caller)).toBe("allowStreaming");
    expect(subject.transport.calls).toBe(calls + 3);
    subject.transport.feedStalled = false;
    await eventually(async () => {
      const { calls } = subject.transport;
      return (await subject.summaryOf(same.caller)) === "allowStreaming" && subject.transport.calls === calls;
    });
  });

  it("makes the guardrails of a warm key unknown within 5 s, and of a cold one at once, if calls fail too", async () => {
    const subject = await startDirectory();
    const { caller } = await warmKey(subject);
    subject.transport.feedStalled = true;
    subject.transport.callsFail = true;
    const since = performance.now();
    expect(await subject.summaryOf(caller)).toBe("allowStreaming");
    expect(await subject.summaryOf(callerIn(newId("ns")))).toBe("DEPENDENCY_UNAVAILABLE");
    await until(subject, caller, "DEPENDENCY_UNAVAILABLE");
    expect(performance.now() - since).toBeLessThan(5_000);
  });
});

it("the guardrails of a key with a policy that cannot be read are unknown", async () => {
  const subject = await startDirectory();
  const { policy: made, caller } = await warmKey(subject);
  await policy.corrupt(made.id);
  await until(subject, caller, "DEPENDENCY_UNAVAILABLE");
});
