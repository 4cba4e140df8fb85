import { setTimeout as delay } from "node:timers/promises";
import { Code, createClient } from "@connectrpc/connect";
import { KeyService } from "@routeplane/contracts/auth";
import { DomainError } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { FEED_TIMEOUT_MS } from "../staleness.ts";
import { type Replica, startReplica, startService } from "./replicas-under-test.ts";

describe("a connection to a service with several addresses", () => {
  it("gives every address its share of the calls", async () => {
    const { replicas, load, allUsed } = await startService(4);
    await allUsed();
    await load((calls) => calls >= 400);
    const shares = replicas.map(({ calls }) => calls.length);
    expect(Math.max(...shares)).toBeLessThan(100 * 1.4);
  });

  it("uses a new address within 10 s, and stops using a removed one", async () => {
    const { replicas, dns, add, load, allUsed } = await startService(2);
    await allUsed();
    const added = await add();
    dns.listed = ["127.0.0.2", added.address];
    const until = performance.now() + 10_000;
    await load(() => added.calls.length > 0 || performance.now() > until);
    for (const { calls } of replicas) calls.length = 0;
    await load((calls) => calls >= 300);
    const [first = 0, ...rest] = replicas.map(({ calls }) => calls.length);
    expect(first).toBe(0);
    for (const share of rest) expect(share).toBeGreaterThan(300 / 2 / 1.5);
  });

  it("keeps its addresses while the name cannot be resolved, or resolves to nothing", async () => {
    const { dns, verify, allUsed } = await startService(2);
    await allUsed();
    for (const listed of [new Error("EAI_AGAIN"), []]) {
      dns.listed = listed;
      const until = performance.now() + 4_000;
      while (performance.now() < until) await verify();
    }
  });

  it("fails no idempotent call when a process is killed", async () => {
    const { replicas, load, allUsed } = await startService(2);
    await allUsed();
    setTimeout(() => void replicas[0]?.kill(), 200);
    const until = performance.now() + 2_000;
    expect((await load(() => performance.now() > until)).errors).toEqual([]);
  });

  it("fails no idempotent call when a process is suspended, and keeps their deadline", async () => {
    const { replicas, load, allUsed } = await startService(2);
    await allUsed();
    setTimeout(() => replicas[0]?.freeze(), 200);
    const until = performance.now() + 5_000;
    const { errors, slowestMs } = await load(() => performance.now() > until);
    expect(errors).toEqual([]);
    expect(slowestMs).toBeLessThan(2_000);
  });

  it("sends no call to an address that accepts connections and never answers", async () => {
    const { replicas, load } = await startService(2);
    replicas[0]?.freeze();
    const { errors } = await load((calls) => calls >= 100);
    expect(errors).toEqual([]);
    expect(replicas[0]?.ignoredCalls()).toBe(0);
    expect(replicas[1]?.calls.length).toBeGreaterThanOrEqual(100);
  });

  it("reaches an address again that was killed", async () => {
    const { replicas, port, load, allUsed } = await startService(2);
    await allUsed();
    await replicas[0]?.kill();
    const { replica } = await startReplica({ address: "127.0.0.1", port });
    const until = performance.now() + 10_000;
    await load(() => replica.calls.length > 0 || performance.now() > until);
    expect(replica.calls.length).toBeGreaterThan(0);
  });

  it("repeats an idempotent call once if one process answers with UNAVAILABLE", async () => {
    const refused: string[] = [];
    const { verify, allUsed } = await startService(2, {
      async verify(token) {
        if (token !== "once" || refused.push(token) > 1) return;
        throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "postgres does not answer");
      },
    });
    await allUsed();
    await verify("once");
    expect(refused).toHaveLength(2);
  });

  it("repeats an idempotent call once if one process refuses the service credential, and is unavailable if all do", async () => {
    const { replicas, verify, load, allUsed } = await startService(2);
    await allUsed();
    for (const replica of replicas.slice(0, 1)) replica.refusesCaller = true;
    expect((await load((calls) => calls >= 40)).errors).toEqual([]);
    for (const replica of replicas) replica.refusesCaller = true;
    // Not UNAUTHENTICATED, which says that the token in the call is refused.
    await expect(verify()).rejects.toMatchObject({ code: Code.Unavailable });
    for (const replica of replicas) replica.refusesCaller = false;
    await verify();
  });

  it("never repeats a call that is not idempotent, or that was answered", async () => {
    const { replicas, transport, verify, allUsed } = await startService(2, {
      async verify(token) {
        if (token === "invalid") throw new DomainError("invalid_argument", "FIELD_INVALID", "token: is invalid");
      },
    });
    await allUsed();
    const keys = createClient(KeyService, transport);
    const minting = keys.mintKey({ name: "once", scopes: ["keys:read"] }).catch((error: unknown) => error);
    expect(await minting).toBeInstanceOf(Error);
    await expect(verify("invalid")).rejects.toThrow("token: is invalid");
    expect(replicas.flatMap(({ calls }) => calls).filter((name) => name === "invalid")).toHaveLength(1);
  });
});

describe("a change feed", () => {
  /** Watches until the test ends, as `watchChanges` does: again whenever a call ends. */
  function watch({ verification }: Awaited<ReturnType<typeof startService>>): void {
    const stopping = new AbortController();
    onTestFinished(() => stopping.abort());
    const run = async (): Promise<void> => {
      while (!stopping.signal.aborted) {
        const messages = verification.watchChanges({}, { signal: stopping.signal, timeoutMs: 0 });
        try {
          for await (const message of messages) void message;
        } catch {
          // It is called again.
        }
      }
    };
    void run();
  }

  it("moves away from an address that was removed", async () => {
    const service = await startService(2);
    await service.allUsed();
    watch(service);
    const watching = await eventually(() => service.replicas.find(({ watches }) => watches === 1));
    const other = service.replicas.find((replica) => replica !== watching) as Replica;
    service.dns.listed = [other.address];
    await eventually(() => other.watches === 1 && watching.watches === 0, 10_000);
  });

  it("moves away from a suspended process before it counts as lost", async () => {
    const service = await startService(2);
    await service.allUsed();
    watch(service);
    const watching = await eventually(() => service.replicas.find(({ watches }) => watches === 1));
    const other = service.replicas.find((replica) => replica !== watching) as Replica;
    watching.freeze();
    const frozenAt = performance.now();
    await eventually(() => other.watches === 1);
    expect(performance.now() - frozenAt).toBeLessThan(FEED_TIMEOUT_MS + 1_000);
  });

  it("keeps no calls away from its address", async () => {
    const service = await startService(2);
    await service.allUsed();
    watch(service);
    const watching = await eventually(() => service.replicas.find(({ watches }) => watches === 1));
    for (let count = 0; count < 200; count++) {
      await service.verify();
      // The stream of the call is closed after its response.
      await delay(2);
    }
    expect(watching.calls.length).toBeGreaterThan(100 / 1.5);
  });

  it("moves when its session reaches its maximum age, without a failed call", async () => {
    const service = await startService(2, { maxSessionAgeMs: 500 });
    watch(service);
    const seen = new Set<string>();
    const until = performance.now() + 20_000;
    const { errors } = await service.load(() => {
      for (const { address, watches } of service.replicas) if (watches > 0) seen.add(address);
      return seen.size === 2 || performance.now() > until;
    });
    expect(errors).toEqual([]);
    expect(seen.size).toBe(2);
  });
});
