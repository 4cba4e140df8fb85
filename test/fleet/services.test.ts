import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "./fleet.ts";
import { migrateToNextRelease } from "./next-release.ts";
import type { Replica } from "./replica.ts";
import { canMountHosts } from "./hosts.ts";
import { chat, type Failure, type Load, secondsOf, startLoad, whoAmI } from "./load.ts";

/** Full form: `npm run fleet`. In short, each fault strikes one of the two services, under less load. */
const IS_FULL = process.env["ROUTEPLANE_FLEET"] === "full";
const RATE = IS_FULL ? { perSecond: 200, maxRunning: 400 } : { perSecond: 20, maxRunning: 4 };
/** Time for which load goes on after a fault. */
const AFTER_MS = IS_FULL ? 20_000 : 4_000;
/** Longest time for which requests may fail because of a process that is suspended; a busy machine needs some more. */
const FROZEN_SECONDS = 3 + 0.5;

const CALL_DEADLINE_MS = 1_900;
/** Time within which a new process gets its share. */
const JOIN_MS = 10_000;
/** Time over which calls, and CPU time, are compared. */
const WINDOW_MS = 3_000;
const SHARE_MS = 15_000;
/** Time after which a suspended process is removed from DNS, as a failed readiness probe does. */
const UNLISTED_MS = IS_FULL ? 12_000 : 4_000;
/** Largest part of the CPU time that one of several processes may use, as a multiple of its fair part. */
const MAX_SHARE = 1.3;

/** Calls are logged at this level. */
const DEBUG = { ROUTEPLANE_LOG_LEVEL: "debug" };

type Service = "auth" | "policy";

describe.skipIf(!canMountHosts())("several processes of each service, under load", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ auth: 2, policy: 2, usage: 1, aggregator: 1, gateway: 2 }, DEBUG);
  }, 180_000);
  afterAll(async () => {
    expect(await fleet.stop()).toEqual([]);
  }, 60_000);

  /** Inference requests, and calls that are relayed to the auth service, half of each. */
  const load = (): Load =>
    startLoad({
      urls: () => fleet.urls,
      ...RATE,
      request: (n) => (n % 2 === 0 ? chat(fleet.apiKey) : whoAmI(fleet.apiKey)),
    });

  /** Runs `fault` under load. @returns the requests that failed */
  async function under(fault: () => Promise<void>, afterMs = AFTER_MS): Promise<readonly Failure[]> {
    const running = load();
    await delay(1_000);
    await fault();
    await delay(afterMs);
    await running.stop();
    report(running);
    return running.failures;
  }

  it("serve without a fault", async () => {
    expect(await under(async () => {}, 1_000)).toHaveLength(0);
  }, 60_000);

  it.each<Service>(IS_FULL ? ["policy", "auth"] : ["policy"])(
    "%s: a suspended process costs at most 3 s of errors",
    async (role) => {
      const [frozen] = fleet.replicas(role) as [Replica];
      try {
        const failures = await under(async () => {
          frozen.freeze();
          await delay(UNLISTED_MS);
          await fleet.unlist(frozen);
        });
        expect(secondsOf(failures)).toBeLessThan(FROZEN_SECONDS);
      } finally {
        frozen.resume();
        await fleet.list(frozen);
      }
    },
    120_000,
  );

  it.each<Service>(IS_FULL ? ["policy", "auth"] : ["auth"])(
    "%s: a killed process costs no request, and serves again once it is back",
    async (role) => {
      const [killed] = fleet.replicas(role) as [Replica];
      const failures = await under(async () => {
        await killed.kill();
        await delay(AFTER_MS / 2);
        await fleet.restart(killed);
        await expectShares(fleet.replicas(role));
      }, 0);
      expect(failuresOf(failures)).toBe(0);
    },
    120_000,
  );

  it.each<Service>(IS_FULL ? ["policy", "auth"] : ["policy"])(
    "%s: a new process gets its share within 10 s, and a roll costs no request",
    async (role) => {
      const failures = await under(async () => {
        await fleet.add(role);
        await expectShares(fleet.replicas(role));
        await fleet.roll(role, IS_FULL ? Infinity : 1);
      }, 1_000);
      expect(failuresOf(failures)).toBe(0);
    },
    240_000,
  );

  it("migrations of a later release cost no request", { timeout: 120_000 }, async () => {
    const failures = await under(async () => {
      for (const schema of ["auth", "policy", "usage"] as const) await migrateToNextRelease(fleet.database, schema);
    }, 1_000);
    expect(failuresOf(failures)).toBe(0);
    for (const replica of fleet.replicas("policy"))
      await eventually(() => replica.output().includes("the schema is newer than this build"));
  });
});

/** Expects that every process gets its share of the calls within `JOIN_MS`, and of the CPU time if there is enough of it. */
async function expectShares(replicas: readonly Replica[]): Promise<void> {
  await eventually(async () => Math.min(...(await sharesOf(replicas, WINDOW_MS)).calls) > 0.5, JOIN_MS);
  if (!IS_FULL) return;
  const { cpu } = await sharesOf(replicas, SHARE_MS);
  expect(Math.max(...cpu)).toBeLessThanOrEqual(MAX_SHARE);
}

/** Work of each process within a time, as a multiple of its fair part. */
async function sharesOf(replicas: readonly Replica[], durationMs: number) {
  const measure = () => Promise.all(replicas.map(async (replica) => [callsOf(replica), await replica.cpuSeconds()]));
  const before = await measure();
  await delay(durationMs);
  const after = await measure();
  const [calls = [], cpu = []] = [0, 1].map((figure) => {
    const parts = after.map((figures, index) => (figures[figure] ?? 0) - (before[index]?.[figure] ?? 0));
    const fair = parts.reduce((sum, part) => sum + part, 0) / parts.length;
    return parts.map((part) => part / fair);
  });
  const [callFigures, cpuFigures] = [calls, cpu].map((shares) => shares.map((share) => share.toFixed(2)).join(" "));
  process.stdout.write(`shares by process, 1 is fair: calls ${callFigures}, CPU ${cpuFigures}\n`);
  return { calls, cpu };
}

/**
 * Number of requests that failed. In short, without those that failed by the deadline of a call, as requests do on a machine that
 * is busy with other tests: what a killed or stopped process costs fails at once.
 */
function failuresOf(failures: readonly Failure[]): number {
  return failures.filter(({ sentAt, failedAt }) => IS_FULL || failedAt - sentAt < CALL_DEADLINE_MS).length;
}

/** Number of calls that a process has logged. */
function callsOf(replica: Replica): number {
  return replica.output().split('"msg":"call"').length - 1;
}

function report({ sent, failures, slowestMs }: Load): void {
  const reasons = [...new Set(failures.map(({ reason }) => reason))].slice(0, 8);
  const figures = `${sent} requests, ${failures.length} failed in ${secondsOf(failures).toFixed(1)} s`;
  const slowest = `slowest ${Math.round(slowestMs)} ms`;
  process.stdout.write(`${[expect.getState().currentTestName, figures, slowest, ...reasons].join("; ")}\n`);
}
