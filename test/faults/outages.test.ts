import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type BudgetedKey, type CountedNode, NO_DIFFERENCES, startCountedNode } from "./counted-node.ts";
import { openLedger } from "./ledger.ts";
import { type Load, type SentOutcome, startLoad } from "./load.ts";
import { type Way, whileAway } from "./while-away.ts";

/**
 * Tests of a dependency that does not answer while two gateways admit on slices: their clients get what services/gateway/README.md states,
 * and nothing is spent beyond a limit. Runs only in full, by `npm run faults`.
 */
const isFull = process.env["ROUTEPLANE_FAULTS"] === "full";
const ROLES = ["policy", "postgres", "nats"] as const;
const WAYS: readonly Way[] = ["suspended", "killed"];
const CASES = ROLES.flatMap((role) => WAYS.flatMap((way) => [1, 10, 60].map((secs) => [role, way, secs] as const)));

/** Time after which nothing is admitted without policy or Postgres. */
const GRACE_MS = 5_000;
/** Maximum time until an answer: two successive calls of 2 s each, on a busy machine. */
const MAX_ANSWER_MS = 10_000;
/** Limit of the budget that is used up during, or soon after, the outage, and the cost of each request on it. */
const TIGHT = { limit: 300_000, cost: 1_000 };

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

let counted: CountedNode;
let running: Load[] = [];

function start(key: BudgetedKey, options: Parameters<typeof startLoad>[2]): Load {
  const load = startLoad(counted.node.urls, key.token, options);
  running.push(load);
  return load;
}

/** Dependency that a refusal names. */
function dependencyIn({ text }: SentOutcome): string | undefined {
  return /"dependency":"([a-z_]+)"/.exec(text)?.[1];
}

describe.runIf(isFull)("while requests are admitted on slices", () => {
  beforeAll(async () => {
    counted = await startCountedNode({ gateways: 2 });
  });
  afterEach(async () => {
    await Promise.all(running.map((load) => load.stop()));
    running = [];
  });
  afterAll(() => counted?.remove());

  it.each(CASES)("%s %s for %i s: as documented, and nothing is spent beyond a limit", async (role, way, secs) => {
    const { node, upstream, tightUpstream } = counted;
    upstream.reset();
    tightUpstream.reset();
    const name = `${role} ${way} ${secs}`;
    const [key, tightKey] = [
      await counted.budgetedKey(name, 1_000_000_000),
      await counted.budgetedKey(`${name} tight`, TIGHT.limit),
    ];
    const ledger = await openLedger(node, key.id, true);
    const outcomes: SentOutcome[] = [];
    const load = start(key, { workers: 8, onEnd: (outcome) => outcomes.push(outcome) });
    await eventually(() => load.sent.answered.size > 100, 60_000);
    const tight = start(tightKey, { workers: 4, model: "tight", costOf: () => TIGHT.cost });
    await eventually(() => tight.sent.answered.size > 20, 60_000);
    expect((await key.use()).leased_micro_usd).toBeGreaterThan(0);

    const awayAtMs = performance.now();
    await whileAway(node, role, way, () => delay(secs * 1_000));
    const backAtMs = performance.now();
    await eventually(() => outcomes.some((each) => each.status === 200 && each.sentAtMs > backAtMs), 60_000);

    const answered = outcomes.filter(({ status }) => status === 200);
    const others = outcomes.filter(({ status, sentAtMs }) => status !== 200 && sentAtMs > awayAtMs - 1_000);
    // At first, warm keys and slices suffice.
    expect(answered.some(({ sentAtMs }) => sentAtMs > awayAtMs && sentAtMs < awayAtMs + 1_000)).toBe(true);
    if (role === "nats") {
      expect(others).toEqual([]);
    } else {
      expect(new Set(others.map(({ status }) => status ?? "none")).difference(new Set([503]))).toEqual(new Set());
      expect(new Set(others.map(dependencyIn)).difference(new Set(["policy", "auth"]))).toEqual(new Set());
      // Then nothing is admitted from caches.
      const late = answered.filter(({ sentAtMs, endedAtMs }) => sentAtMs > awayAtMs + GRACE_MS && endedAtMs < backAtMs);
      expect(late).toEqual([]);
    }
    expect(Math.max(...outcomes.map(({ sentAtMs, endedAtMs }) => endedAtMs - sentAtMs))).toBeLessThan(MAX_ANSWER_MS);

    await load.stop();
    const faults = () => ledger.faults(upstream, load.sent);
    await eventually(async () => (await faults()).length === 0, 60_000).catch(() => {});
    expect(await faults()).toEqual([]);
    await ledger.close();

    // The tight budget is used up exactly.
    await eventually(async () => (await tightKey.use()).spent_micro_usd === TIGHT.limit, 120_000).catch(() => {});
    await tight.stop();
    expect(await counted.reconciled(60_000)).toEqual(NO_DIFFERENCES);
    expect((await tightKey.use()).spent_micro_usd).toBe(tightUpstream.spentMicroUsd);
    expect(tightUpstream.spentMicroUsd).toBe(TIGHT.limit);
  });
});
