import { Agent } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { askConsole, type ConsoleAddress, signInAt } from "./console-client.ts";
import { printFigures, record, type Shares, sharesOf } from "./figures.ts";
import { type Fleet, startFleet } from "./fleet.ts";
import { canMountHosts } from "./hosts.ts";
import { chat, type Failure, isEarly, type Load, mint, post, read, secondsOf, startLoad } from "./load.ts";
import { migrateToNextRelease } from "./next-release.ts";
import { canIsolate } from "./pod-network.ts";
import type { FleetRole, Replica } from "./replica.ts";

/** Full form: `npm run fleet`. In short, each fault strikes one of the services, under less load. */
const IS_FULL = process.env["ROUTEPLANE_FLEET"] === "full";
/** Requests per second of the full form. On a busy machine, fewer give a clearer result. */
const FULL_RATE = Number(process.env["ROUTEPLANE_FLEET_RATE"] ?? 200);
const RATE = IS_FULL ? { perSecond: FULL_RATE, maxRunning: 2 * FULL_RATE } : { perSecond: 20, maxRunning: 4 };
/** Time for which load goes on after a fault. */
const AFTER_MS = IS_FULL ? 10_000 : 3_000;
/** Maximum time for which requests may fail because of a suspended process; a busy machine needs somewhat longer. */
const FROZEN_SECONDS = 3 + 0.5;
/** Maximum wait for the answer to a call that was sent to a suspended process; likewise. */
const FROZEN_ANSWER_MS = 3_000 + 500;

/** Time within which a new process gets its share. */
const JOIN_MS = 10_000;
/** Time over which calls, and CPU time, are compared. */
const WINDOW_MS = IS_FULL ? 3_000 : 2_000;
const SHARE_MS = 15_000;
/** Time after which a suspended process is removed from DNS, as a failed readiness probe does. */
const UNLISTED_MS = IS_FULL ? 12_000 : 4_000;
/** Maximum share of the CPU time that one of several processes may use, as a multiple of a fair share. */
const MAX_SHARE = 1.3;
/** One in this number of requests is a call that is not idempotent. */
const WRITE_EVERY = 20;

type Service = "auth" | "policy" | "usage";

describe.skipIf(!canMountHosts())("several processes of each service, under load", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ auth: 2, policy: 2, usage: 2, aggregator: 2, gateway: 2, console: 2 });
    if (IS_FULL) await warmUp();
  }, 180_000);
  afterAll(async () => {
    if (IS_FULL) printFigures();
    expect(await fleet.stop()).toEqual([]);
  }, 60_000);

  const consoles = (): readonly ConsoleAddress[] =>
    fleet.replicas("console").map(({ address }) => ({ address, port: fleet.port }));

  /** Inference, which calls policy, and relayed reads of every service, half of each. */
  const readOrChat = (n: number) =>
    n % 2 === 0
      ? chat(fleet.apiKey)
      : read((["auth", "policy", "usage", "auth"] as const)[(n >> 1) % 4] ?? "auth", fleet.apiKey);
  /** The same, and calls that are not idempotent among them. */
  const anything = (n: number) => (n % WRITE_EVERY === 0 ? mint(fleet.apiKey, `minted ${n}`) : readOrChat(n));

  /** Sends requests, few at a time, until every process has compiled the code for them. */
  async function warmUp(): Promise<void> {
    const load = startLoad({ urls: () => [fleet.url], perSecond: RATE.perSecond, maxRunning: 4, request: readOrChat });
    await eventually(() => load.sent > 200, 90_000);
    await load.stop();
  }

  /** Runs `fault` under load. @returns the requests that failed */
  async function under(
    fault: () => Promise<Shares | void>,
    { afterMs = AFTER_MS, request = readOrChat }: { afterMs?: number; request?: typeof readOrChat } = {},
  ): Promise<readonly Failure[]> {
    const load: Load = startLoad({ urls: () => [fleet.url], ...RATE, request });
    await delay(1_000);
    const shares = await fault();
    await delay(afterMs);
    await load.stop();
    record(expect.getState().currentTestName?.split(" > ").at(-1) ?? "", load, shares ?? undefined);
    return load.failures;
  }

  it.runIf(IS_FULL)(
    "no fault",
    async () => {
      expect(await under(async () => {}, { request: anything })).toEqual([]);
    },
    60_000,
  );

  it.each<Service>(IS_FULL ? ["policy", "auth", "usage"] : ["policy"])(
    "%s: a suspended process costs at most 3 s of errors",
    async (role) => {
      const [frozen] = fleet.replicas(role) as [Replica];
      try {
        const failures = await under(
          async () => {
            frozen.freeze();
            await delay(UNLISTED_MS);
            await fleet.unlist(frozen);
          },
          { request: anything },
        );
        const [writes, others] = [true, false].map((isWrite) =>
          failures.filter((failure) => isMint(failure) === isWrite),
        );
        expect(secondsOf(others ?? [])).toBeLessThan(FROZEN_SECONDS);
        expectUnknownOutcomes(writes ?? []);
      } finally {
        frozen.resume();
        await fleet.list(frozen);
      }
    },
    120_000,
  );

  it.skipIf(!IS_FULL || !canIsolate()).each(["policy", "auth"] as const)(
    "%s: a process whose network is lost costs at most 3 s of errors",
    async (role) => {
      const { replica, network } = await fleet.addIsolated(role);
      const failures = await under(
        async () => {
          await eventually(async () => (await replica.calls()) > 0, JOIN_MS);
          await network.blackHole();
          await delay(UNLISTED_MS);
          await fleet.unlist(replica);
        },
        { request: anything },
      );
      await replica.kill();
      const [writes, others] = [true, false].map((isWrite) =>
        failures.filter((failure) => isMint(failure) === isWrite),
      );
      expect(secondsOf(others ?? [])).toBeLessThan(FROZEN_SECONDS);
      expectUnknownOutcomes(writes ?? []);
    },
    120_000,
  );

  it.each<Service>(IS_FULL ? ["policy", "auth", "usage"] : ["auth"])(
    "%s: a killed process costs no request, and serves again once it is back",
    async (role) => {
      const [killed] = fleet.replicas(role) as [Replica];
      const failures = await under(
        async () => {
          await killed.kill();
          await delay(AFTER_MS / 2);
          await fleet.restart(killed);
          return sharesWithin(fleet.replicas(role));
        },
        { afterMs: 0 },
      );
      expect(lost(failures)).toEqual([]);
    },
    120_000,
  );

  it.each<Service>(IS_FULL ? ["policy", "auth", "usage"] : ["policy"])(
    "%s: a new process gets its share within 10 s, and one that is removed costs no request",
    async (role) => {
      const failures = await under(
        async () => {
          await fleet.add(role);
          const [oldest] = fleet.replicas(role) as [Replica];
          // Removed after a failure too: one more process would leave later tests less CPU time.
          try {
            return await sharesWithin(fleet.replicas(role));
          } finally {
            await fleet.remove(oldest);
          }
        },
        { afterMs: 1_000, request: anything },
      );
      expect(lost(failures)).toEqual([]);
    },
    240_000,
  );

  it.each<FleetRole>(IS_FULL ? ["auth", "policy", "usage", "aggregator", "gateway"] : ["gateway"])(
    "%s: a roll costs no request",
    async (role) => {
      // The endpoint of a gateway is still listed when it gets the signal, and is removed once it reports that it is not ready.
      const options = { ...(!IS_FULL && { count: 1 }), ...(role === "gateway" && { prestopMs: 0 }) };
      const failures = await under(() => fleet.roll(role, options), { afterMs: 1_000, request: anything });
      expect(lost(failures)).toEqual([]);
    },
    240_000,
  );

  it("console: a session that one process opened continues at every other one, while all are replaced, and ends at all of them", async () => {
    const [first, second] = consoles() as [ConsoleAddress, ConsoleAddress];
    const cookie = await signInAt(first, fleet.operatorToken);
    const entered = await askConsole(second, "POST", "/session/namespace", { cookie, body: { namespace: "default" } });
    expect(entered.status, entered.body).toBe(200);
    const use = async (at: ConsoleAddress) => {
      const { status, body } = await askConsole(at, "GET", "/session", { cookie: entered.cookie });
      const keys = await askConsole(at, "POST", "/api/routeplane.auth.v1.KeyService/ListKeys", {
        cookie: entered.cookie,
        body: {},
      });
      return [status, status === 200 && JSON.parse(body), keys.status] as const;
    };
    const inside = { kind: "namespace", namespace_id: fleet.namespaceId };
    for (const at of consoles()) expect(await use(at)).toMatchObject([200, inside, 200]);
    await fleet.roll("console");
    expect(consoles().map(({ address }) => address)).not.toContain(first.address);
    for (const at of consoles()) expect(await use(at)).toMatchObject([200, inside, 200]);
    const [one, other] = consoles() as [ConsoleAddress, ConsoleAddress];
    expect((await askConsole(one, "DELETE", "/session", { cookie: entered.cookie })).status).toBe(204);
    expect(await use(other)).toEqual([401, false, 401]);
  }, 120_000);

  it("migrations of a later release cost no request", async () => {
    const failures = await under(
      async () => {
        for (const schema of ["auth", "policy", "usage"] as const) await migrateToNextRelease(fleet.database, schema);
      },
      { afterMs: 1_000 },
    );
    expect(lost(failures)).toEqual([]);
    for (const replica of fleet.replicas("policy"))
      await eventually(() => replica.output().includes("schema is newer than this build"));
  });

  it("answers in the error format of the route while services do not answer, and while it is stopping", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = async (agentOfCall?: Agent) => {
      const { status, text, connection } = await post(fleet.url, chat(fleet.apiKey), agentOfCall);
      return { status, connection, body: JSON.parse(text) as unknown };
    };
    for (const role of ["policy", "auth"] as const) {
      await Promise.all(fleet.replicas(role).map((replica) => replica.kill()));
      const error = { code: "dependency_unavailable", dependency: role, type: "server_error" };
      await eventually(async () => {
        expect(await ask(agent)).toMatchObject({ status: 503, connection: "keep-alive", body: { error } });
        return true;
      });
    }
    const stopping = fleet.replicas("gateway").map((gateway) => gateway.stop());
    await eventually(async () => {
      const answer = await ask(agent);
      expect(answer).toMatchObject({ status: 503, body: { error: { code: "dependency_unavailable" } } });
      return answer.connection === "close";
    });
    agent.destroy();
    expect(await Promise.all(stopping)).toEqual([0, 0]);
  }, 120_000);
});

const isMint = ({ path }: Failure): boolean => path === mint("", "").path;

/** Expects that calls with an unknown outcome report it, and soon. */
function expectUnknownOutcomes(failures: readonly Failure[]): void {
  for (const { sentAt, failedAt, reason } of failures) {
    expect(reason).toMatch(/^503 .*may have done the call/);
    expect(failedAt - sentAt).toBeLessThan(FROZEN_ANSWER_MS);
  }
}

/** Measures the shares once every process has its own. @throws Error if that takes longer than `JOIN_MS` */
async function sharesWithin(replicas: readonly Replica[]): Promise<Shares> {
  const deadline = performance.now() + JOIN_MS;
  for (;;) {
    const shares = await sharesOf(replicas, WINDOW_MS);
    if (Math.min(...shares.calls) > 0.5) break;
    expect(performance.now(), `shares of the calls: ${shares.calls.join(" ")}`).toBeLessThan(deadline);
  }
  const shares = await sharesOf(replicas, IS_FULL ? SHARE_MS : 0);
  if (IS_FULL)
    expect(Math.max(...shares.cpu), `shares of the CPU: ${shares.cpu.join(" ")}`).toBeLessThanOrEqual(MAX_SHARE);
  return shares;
}

/**
 * Requests that were lost. In short, without those that failed by the deadline of a call, as requests do on a machine that is busy
 * with other tests: what a killed or stopped process costs fails at once.
 */
function lost(failures: readonly Failure[]): readonly string[] {
  return failures
    .filter(({ sentAt, failedAt }) => IS_FULL || isEarly({ sentAt, failedAt }))
    .map(({ path, reason }) => `${path}: ${reason}`);
}
