import { create } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { createRouterTransport } from "@connectrpc/connect";
import { EnforcementService, ListAppliedGuardrailsResponseSchema } from "@routeplane/contracts/policy";
import { DomainError, type Id, newId } from "@routeplane/domain";
import { type BreakableTransport, breakable, eventually } from "@routeplane/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, startPolicyUnderTest } from "../../policy/test/policy-under-test.ts";
import { createGuardrailDirectory, type GuardrailDirectoryOptions } from "../src/clients/guardrail-directory.ts";
import type { AppliedGuardrail } from "../src/domain/ports/guardrail-directory.ts";
import type { CallingKey } from "../src/domain/ports/key-verifier.ts";

/** The directory of a gateway that calls one process of the policy service, while policies are changed through another. */

let policy: PolicyUnderTest;
const started: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((each) => each.stop()));
});
afterAll(() => policy.stop());

const NO_STREAMS = { kind: "guardrail", allowStreaming: false } as const;
const NO_MODELS = { kind: "guardrail", modelAllow: [] } as const;

function callerIn(namespaceId: Id<"ns">, parent?: CallingKey): CallingKey {
  const keyId = newId("key");
  return { kind: "key", keyId, namespaceId, scopes: [], lineage: [...(parent?.lineage ?? []), keyId] };
}

interface World {
  readonly way: BreakableTransport;
  readonly guardrailsOf: (caller: CallingKey) => Promise<readonly AppliedGuardrail[]>;
  /** Resolves to the members of the specs that apply, or to the reason of the error. */
  readonly ask: (caller: CallingKey) => Promise<string>;
}

/** A directory whose feed works. */
async function world(options: GuardrailDirectoryOptions = {}): Promise<World> {
  const way = breakable(policy.follower());
  const directory = createGuardrailDirectory(way, options);
  started.push(directory);
  const guardrailsOf = (caller: CallingKey) => directory.of(caller);
  const ask = (caller: CallingKey): Promise<string> =>
    directory.of(caller).then(
      (guardrails) => guardrails.map(({ spec }) => Object.keys(spec).join("+")).join(", "),
      (error: unknown) => (error instanceof DomainError ? error.reason : String(error)),
    );
  const anyone = callerIn(newId("ns"));
  // Warm: an answer is kept only once the feed is heard.
  await eventually(async () => {
    await ask(anyone);
    const { calls } = way;
    return (await ask(anyone)) === "" && way.calls === calls;
  });
  return { way, guardrailsOf, ask };
}

/** A clock that stands still: nothing goes out of date, and the feed never counts as silent. */
const timeless: GuardrailDirectoryOptions = { monotonic: () => 1_000_000 };

/** A key to which one guardrail applies, through its namespace, and that is kept. */
async function warmKey({ way, ask }: World) {
  const namespaceId = newId("ns");
  const bound = await policy.bound(namespaceId, NO_STREAMS);
  const caller = callerIn(namespaceId);
  // Kept once every change that binding it made was heard.
  await eventually(async () => {
    const { calls } = way;
    return (await ask(caller)) === "allowStreaming" && way.calls === calls;
  });
  return { namespaceId, caller, ...bound };
}

const until = async ({ ask }: World, caller: CallingKey, answer: string): Promise<void> => {
  await eventually(async () => (await ask(caller)) === answer);
};

describe("the guardrails of a warm key", () => {
  it("follow a binding that another process makes, without being asked for in between", async () => {
    const here = await world(timeless);
    const { namespaceId, caller } = await warmKey(here);
    const { changesDelivered: heard, calls } = here.way;
    await policy.bound(namespaceId, NO_MODELS, caller.keyId, "shadow");
    await eventually(() => here.way.changesDelivered > heard);
    expect(here.way.calls).toBe(calls);
    expect(await here.guardrailsOf(caller)).toMatchObject([
      { mode: "enforce", principalType: "namespace", principalId: namespaceId, spec: { allowStreaming: false } },
      { mode: "shadow", principalType: "api_key", principalId: caller.keyId, spec: { modelAllow: [] } },
    ]);
  });

  it("follow a policy that is switched off, and those of other namespaces are not asked for again", async () => {
    const here = await world(timeless);
    const [mine, other] = [await warmKey(here), await warmKey(here)];
    await policy.switchOff(mine.policy.id);
    await until(here, mine.caller, "");
    const { calls } = here.way;
    expect(await here.ask(other.caller)).toBe("allowStreaming");
    expect(here.way.calls).toBe(calls);
  });

  it("come through every key above it", async () => {
    const here = await world(timeless);
    const { namespaceId, caller: parent } = await warmKey(here);
    const child = callerIn(namespaceId, parent);
    expect(await here.ask(child)).toBe("allowStreaming");
    await policy.bound(namespaceId, NO_MODELS, parent.keyId);
    await until(here, child, "allowStreaming, modelAllow");
  });

  it("are one array for all keys to which the same apply, also after a change of something else", async () => {
    const here = await world(timeless);
    const { namespaceId, caller } = await warmKey(here);
    const before = await here.guardrailsOf(caller);
    expect(await here.guardrailsOf(callerIn(namespaceId))).toBe(before);
    const { changesDelivered: heard, calls } = here.way;
    await policy.budget(namespaceId, 5n);
    await eventually(() => here.way.changesDelivered > heard);
    expect(await here.guardrailsOf(caller)).toBe(before);
    expect(here.way.calls).toBe(calls + 1);
  });

  it("are asked for again after 30 s, however well the feed works", async () => {
    const time = { now: 0 };
    const here = await world({ monotonic: () => time.now });
    const { caller } = await warmKey(here);
    const { calls } = here.way;
    for (let passed = 0; passed < 28; passed += 2) {
      time.now += 2_000;
      const { changesDelivered: heard } = here.way;
      await policy.bound(newId("ns"), NO_STREAMS);
      await eventually(() => here.way.changesDelivered > heard);
      expect(await here.ask(caller)).toBe("allowStreaming");
    }
    expect(here.way.calls).toBe(calls);
    time.now += 2_000;
    expect(await here.ask(caller)).toBe("allowStreaming");
    expect(here.way.calls).toBe(calls + 1);
  });
});

describe("a call to policy", () => {
  it("is shared by all requests of one key that come at once", async () => {
    const here = await world();
    const caller = callerIn(newId("ns"));
    const { calls } = here.way;
    expect(await Promise.all(Array.from({ length: 20 }, () => here.ask(caller)))).toEqual(Array(20).fill(""));
    expect(here.way.calls).toBe(calls + 1);
  });

  it("whose answer is overtaken by a change serves the requests before the change, and none after it", async () => {
    const here = await world(timeless);
    const namespaceId = newId("ns");
    const caller = callerIn(namespaceId);
    const gate = Promise.withResolvers<void>();
    here.way.gate = gate.promise;
    const { callsAnswered: answered, changesDelivered: heard, calls } = here.way;
    const before = [here.ask(caller), here.ask(caller)];
    await eventually(() => here.way.callsAnswered > answered);
    await policy.bound(namespaceId, NO_STREAMS);
    await eventually(() => here.way.changesDelivered > heard);
    const after = [here.ask(caller), here.ask(caller)];
    await eventually(() => here.way.callsAnswered > answered + 1);
    gate.resolve();
    expect(await Promise.all(before)).toEqual(["", ""]);
    expect(await Promise.all(after)).toEqual(["allowStreaming", "allowStreaming"]);
    expect(await here.ask(caller)).toBe("allowStreaming");
    expect(here.way.calls).toBe(calls + 2);
  });

  it("is answered also while every answer is overtaken by a change, with no less than what was bound before it", async () => {
    const here = await world();
    const { namespaceId, caller } = await warmKey(here);
    const { policy: churned } = await policy.budget(namespaceId, 5n);
    const quiet = await warmKey(here);
    const churn = { stopped: false };
    /** Lets no answer through before another change was heard. */
    const churnWhileAnswersWait = async (): Promise<void> => {
      while (!churn.stopped) {
        const gate = Promise.withResolvers<void>();
        here.way.gate = gate.promise;
        const { callsAnswered: answered, changesDelivered: heard } = here.way;
        await eventually(() => churn.stopped || here.way.callsAnswered > answered);
        await policy.switchOff(churned.id);
        await eventually(() => here.way.changesDelivered > heard);
        gate.resolve();
      }
    };
    const churning = churnWhileAnswersWait();
    try {
      for (let round = 0; round < 15; round++) {
        const answers = await Promise.all([1, 2, 3].map(() => here.ask(caller)));
        expect(answers).toEqual(["allowStreaming", "allowStreaming", "allowStreaming"]);
        expect(await here.ask(quiet.caller)).toBe("allowStreaming");
      }
      await policy.bound(namespaceId, NO_MODELS);
      await until(here, caller, "allowStreaming, modelAllow");
      for (let round = 0; round < 5; round++) expect(await here.ask(caller)).toBe("allowStreaming, modelAllow");
    } finally {
      churn.stopped = true;
      await churning;
    }
  });

  it("is made for the key that was not used for longest, once there are more than are kept", async () => {
    const here = await world({ ...timeless, capacity: 3 });
    const namespaceId = newId("ns");
    const [a, b] = [callerIn(namespaceId), callerIn(namespaceId)] as const;
    const [c, d] = [callerIn(newId("ns")), callerIn(newId("ns"))] as const;
    const callsFor = async (...callers: readonly CallingKey[]): Promise<number> => {
      const { calls } = here.way;
      for (const caller of callers) await here.ask(caller);
      return here.way.calls - calls;
    };
    expect(await callsFor(a, b, c, a, b, c)).toBe(3);
    // The namespace of a and b was used before that of c, and a before b.
    expect(await callsFor(d)).toBe(1);
    expect(await callsFor(b, c, d)).toBe(0);
    expect(await callsFor(a)).toBe(1);
  });

  it("that says something which this gateway does not know leaves the guardrails unknown", async () => {
    const caller = callerIn(newId("ns"));
    const guardrail = { policyId: newId("pol"), bindingId: newId("bnd"), spec: { allowStreaming: false } };
    const answering = (unknown: boolean) =>
      createRouterTransport(({ service }) => {
        service(EnforcementService, {
          listAppliedGuardrails() {
            const answer = create(ListAppliedGuardrailsResponseSchema, { guardrails: [guardrail] });
            const field = { no: 2_000, wireType: WireType.Varint, data: new Uint8Array([1]) };
            if (unknown) answer.guardrails[0]!.spec!.$unknown = [field];
            return answer;
          },
          async *watchPolicyChanges() {},
        });
      });
    for (const unknown of [false, true]) {
      const directory = createGuardrailDirectory(answering(unknown));
      started.push(directory);
      if (unknown) await expect(directory.of(caller)).rejects.toMatchObject({ code: "unavailable" });
      else expect(await directory.of(caller)).toHaveLength(1);
    }
  });
});

describe("a change that is lost on the way", () => {
  it("is noticed by the next change, of whichever namespace: everything is asked for again", async () => {
    const here = await world(timeless);
    const [lost, next] = [await warmKey(here), await warmKey(here)];
    here.way.changesToLose = 1;
    await policy.switchOff(lost.policy.id);
    await eventually(() => here.way.changesToLose === 0);
    const { changesDelivered: heard } = here.way;
    await policy.switchOff(next.policy.id);
    await eventually(() => here.way.changesDelivered > heard);
    expect([await here.ask(lost.caller), await here.ask(next.caller)]).toEqual(["", ""]);
  });

  it("is noticed within about a second if no other follows", async () => {
    const here = await world(timeless);
    const { policy: made, caller } = await warmKey(here);
    const { changesDelivered: heard } = here.way;
    here.way.changesToLose = 1;
    await policy.switchOff(made.id);
    await until(here, caller, "");
    expect(here.way.changesDelivered).toBe(heard);
  });

  it("is noticed by the policy service when its own connection was cut", async () => {
    const here = await world(timeless);
    const { policy: made, caller } = await warmKey(here);
    expect(await policy.cutFeeds()).toBeGreaterThan(0);
    await policy.switchOff(made.id);
    await until(here, caller, "");
  });
});

describe("a silent feed", () => {
  it("is noticed within 5 s: guardrails are asked for by call, until it is back", async () => {
    const here = await world();
    const [changed, same] = [await warmKey(here), await warmKey(here)];
    here.way.feedStalled = true;
    const silentSince = performance.now();
    await policy.switchOff(changed.policy.id);
    await until(here, changed.caller, "");
    expect(performance.now() - silentSince).toBeLessThan(5_000);
    const { calls } = here.way;
    for (let round = 0; round < 3; round++) expect(await here.ask(same.caller)).toBe("allowStreaming");
    expect(here.way.calls).toBe(calls + 3);
    here.way.feedStalled = false;
    await eventually(async () => {
      const { calls } = here.way;
      return (await here.ask(same.caller)) === "allowStreaming" && here.way.calls === calls;
    });
  });

  it("and a policy service that does not answer: nothing is known of any key within 5 s, and a cold one at once", async () => {
    const here = await world();
    const { caller } = await warmKey(here);
    here.way.feedStalled = true;
    here.way.callsFail = true;
    const since = performance.now();
    expect(await here.ask(caller)).toBe("allowStreaming");
    expect(await here.ask(callerIn(newId("ns")))).toBe("DEPENDENCY_UNAVAILABLE");
    await until(here, caller, "DEPENDENCY_UNAVAILABLE");
    expect(performance.now() - since).toBeLessThan(5_000);
  });

  it("is no reason to trust a policy that cannot be read", async () => {
    const here = await world();
    const { policy: made, caller } = await warmKey(here);
    await policy.garble(made.id);
    await until(here, caller, "DEPENDENCY_UNAVAILABLE");
  });
});
