import { newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fakeBudget } from "../../../test/fake-admissions.ts";
import { fakeUsageLog } from "../../../test/fake-usage-log.ts";
import { sampleFacts } from "../../../test/sample-usage.ts";
import { Refusal } from "../errors/refusal.ts";
import { createDenialRecorder, type DeniedRequest, MAX_ROWS_OF_KEY, MAX_ROWS_OF_ROOT_KEY } from "./denial-recorder.ts";
import { createSettlements } from "./settlements.ts";

const MINUTE_MS = 60_000;
const START = new Date("2026-11-20T10:00:30Z");

beforeEach(() => {
  vi.useFakeTimers({ now: START });
});

afterEach(() => {
  vi.useRealTimers();
});

function opened() {
  const log = createLogger("gateway", (line) => line, "silent");
  const usage = fakeUsageLog();
  const settlements = createSettlements({ admissions: fakeBudget(0n), usageLog: usage, log });
  return { usage, denials: createDenialRecorder({ usageLog: usage, settlements, log, clock: Date.now }) };
}

const namespaceId = newId("ns");
const denial = {
  policyId: "pol_1",
  policyName: "p",
  bindingId: "bnd_1",
  principalType: "namespace",
  principalId: "ns_1",
  rule: "r",
  message: "m",
} as const;
const refusal = new Refusal("model_not_allowed", "m", { denial });

function requestOf(rootKeyId = newId("key"), keyId = rootKeyId, model = "echo"): DeniedRequest {
  const facts = sampleFacts({ namespaceId, keyId, model });
  const lineage = keyId === rootKeyId ? [keyId] : [rootKeyId, keyId];
  const caller = { kind: "key", keyId, namespaceId, scopes: [], lineage } as const;
  return { facts, caller, refusal, denial, decisions: { shadowDenials: [], guardrailDecisions: [] } };
}

describe("denied requests", () => {
  it("of a key have a bounded number of rows in a minute, and the others are counted in that minute", async () => {
    const { denials, usage } = opened();
    const key = newId("key");
    for (let n = 0; n < 500; n++) denials.record(requestOf(key));
    expect(usage.settlements).toHaveLength(MAX_ROWS_OF_KEY);
    expect(usage.unloggedDenials).toEqual([]);
    await vi.advanceTimersByTimeAsync(5_000);
    const minute = new Date("2026-11-20T10:00:00Z");
    const apart = { namespaceId, keyId: key, model: "echo", provider: "echo", minute };
    expect(usage.unloggedDenials).toEqual([{ ...apart, count: 500 - MAX_ROWS_OF_KEY }]);
    vi.setSystemTime(START.getTime() + MINUTE_MS);
    denials.record(requestOf(key));
    expect(usage.settlements).toHaveLength(MAX_ROWS_OF_KEY + 1);
  });

  it("beyond their rows leave nothing in the outbox, with and without a pending release", () => {
    const { denials, usage } = opened();
    const key = newId("key");
    for (let n = 0; n < MAX_ROWS_OF_KEY + 10; n++) {
      const request = requestOf(key);
      denials.record(n % 2 === 0 ? request : { ...request, pendingRelease: usage.enqueueRelease(request.facts) });
    }
    expect(usage.settlements).toHaveLength(MAX_ROWS_OF_KEY);
    expect(usage.pending.size).toBe(0);
  });

  it("of keys below one root key share the rows of the root key, and the others are all counted", async () => {
    const { denials, usage } = opened();
    const root = newId("key");
    const keys = Array.from({ length: 1_000 }, () => newId("key"));
    for (const key of keys) denials.record(requestOf(root, key));
    expect(usage.settlements).toHaveLength(MAX_ROWS_OF_ROOT_KEY);
    denials.record(requestOf());
    expect(usage.settlements).toHaveLength(MAX_ROWS_OF_ROOT_KEY + 1);
    await denials.stop();
    const counted = usage.unloggedDenials.reduce((sum, { count }) => sum + count, 0);
    expect(counted).toBe(keys.length - MAX_ROWS_OF_ROOT_KEY);
    // Beyond the bound of separate counts they are counted as the root key's.
    expect(usage.unloggedDenials.length).toBe(257);
    expect(usage.unloggedDenials.at(-1)).toMatchObject({ keyId: root, model: "", count: 1_000 - 300 - 256 });
  });

  it("that are counted are sent once, when the gateway stops", async () => {
    const { denials, usage } = opened();
    const key = newId("key");
    for (let n = 0; n <= MAX_ROWS_OF_KEY; n++) denials.record(requestOf(key));
    await denials.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(usage.unloggedDenials).toMatchObject([{ count: 1 }]);
  });
});
