import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { mintToken } from "@routeplane/credentials";
import { type VerifierOptions } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, startAuthUnderTest } from "./auth-under-test.ts";
import { startVerifierUnderTest, type VerifierUnderTest } from "./verifier-under-test.ts";

/** A service that verifies through one auth process, while keys are changed through another. */

let auth: AuthUnderTest;

beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const startVerifier = (options?: VerifierOptions) => startVerifierUnderTest(auth, options);
const revoke = (by: { token: string }, id: string) => auth.as(by.token).keys.revokeKey({ id });
const awaitRefusal = async ({ resultOf }: VerifierUnderTest, token: string): Promise<string> =>
  eventually(async () => {
    const result = await resultOf(token);
    return result !== "ok" && result;
  });

/** A monotonic clock that stands still: no result becomes stale by time, and the feed stays live. */
const stoppedClock: VerifierOptions = { monotonic: () => 1_000_000 };

describe("a cached key", () => {
  it("is refused once it is revoked through another process, without a call in between", async () => {
    const service = await startVerifier(stoppedClock);
    const { root, id, token } = await service.mintCachedKey();
    const { changesDelivered } = service.transport;
    await revoke(root, id);
    await eventually(() => service.transport.changesDelivered > changesDelivered);
    expect(await service.resultOf(token)).toBe("CREDENTIAL_REVOKED");
  });

  it("is refused once the key above it is revoked, and no other key is verified again", async () => {
    const service = await startVerifier(stoppedClock);
    const [revoked, unrelated] = [await service.mintCachedKey(), await service.mintCachedKey()];
    await revoke(revoked.root, revoked.root.id);
    expect(await awaitRefusal(service, revoked.token)).toBe("CREDENTIAL_REVOKED");
    const { calls } = service.transport;
    expect(await service.resultOf(unrelated.token)).toBe("ok");
    expect(service.transport.calls).toBe(calls);
  });

  it("is refused while its namespace is suspended, and valid again at once when that ends", async () => {
    const service = await startVerifier(stoppedClock);
    const { namespaces } = auth.as(auth.operatorToken);
    const { namespace } = await namespaces.createNamespace({ name: "suspended" });
    const { token } = await auth.rootKey("suspended");
    expect(await service.resultOf(token)).toBe("ok");
    await namespaces.suspendNamespace({ namespace: namespace?.id ?? "" });
    expect(await awaitRefusal(service, token)).toBe("NAMESPACE_SUSPENDED");
    // The refusal is cached, and only the change invalidates it: the clock stands still.
    const { calls } = service.transport;
    expect(await service.resultOf(token)).toBe("NAMESPACE_SUSPENDED");
    expect(service.transport.calls).toBe(calls);
    await namespaces.resumeNamespace({ namespace: namespace?.id ?? "" });
    await eventually(async () => (await service.resultOf(token)) === "ok");
  });

  it("is refused from its expiry on, by the clock of the caching process", async () => {
    const service = await startVerifier(stoppedClock);
    const root = await auth.rootKey();
    const expiresAt = timestampFromMs(auth.time.now + 60_000);
    const { token } = await auth.as(root.token).keys.mintKey({ name: "brief", scopes: ["keys:read"], expiresAt });
    expect(await service.resultOf(token)).toBe("ok");
    auth.time.now += 60_000;
    expect(await service.resultOf(token)).toBe("CREDENTIAL_EXPIRED");
  });

  it("is verified again after 30 s, although the feed is live and the key in use", async () => {
    const time = { now: 0 };
    const service = await startVerifier({ monotonic: () => time.now });
    const { token } = await service.mintCachedKey();
    const { calls } = service.transport;
    for (let second = 0; second < 29; second++) {
      time.now += 1_000;
      // Keeps the feed live by the test's clock.
      const { changesDelivered } = service.transport;
      const other = await auth.rootKey();
      await revoke(other, other.id);
      await eventually(() => service.transport.changesDelivered > changesDelivered);
      expect(await service.resultOf(token)).toBe("ok");
    }
    expect(service.transport.calls).toBe(calls);
    time.now += 1_000;
    expect(await service.resultOf(token)).toBe("ok");
    expect(service.transport.calls).toBe(calls + 1);
  });
});

describe("a call to auth", () => {
  it("is shared by concurrent verifications of a token, and not made for malformed tokens", async () => {
    const service = await startVerifier();
    const { token } = await auth.rootKey();
    const { calls } = service.transport;
    expect(await Promise.all(Array.from({ length: 20 }, () => service.resultOf(token)))).toEqual(Array(20).fill("ok"));
    expect(service.transport.calls).toBe(calls + 1);
    const malformed = [`${token}x`, token.slice(0, -1), "", "rp_live_x", "x".repeat(65_536)];
    for (const text of malformed) expect(await service.resultOf(text)).toBe("CREDENTIAL_INVALID");
    expect(service.transport.calls).toBe(calls + 1);
  });

  it("is made again if a revocation overtakes its result", async () => {
    const service = await startVerifier(stoppedClock);
    const root = await auth.rootKey();
    const gate = Promise.withResolvers<void>();
    service.transport.gate = gate.promise;
    const pending = service.resultOf(root.token);
    await eventually(async () => {
      const used = await auth.rowsOf(sql`select from keys where id = ${root.id} and last_used_at is not null`);
      return used.length === 1;
    });
    const { changesDelivered } = service.transport;
    await revoke(root, root.id);
    await eventually(() => service.transport.changesDelivered > changesDelivered);
    gate.resolve();
    expect(await pending).toBe("CREDENTIAL_REVOKED");
  });

  it("is made again for tokens that were evicted from the cache, and not for those in use", async () => {
    const service = await startVerifier({ ...stoppedClock, maxBytes: 16_384 });
    const callsFor = async (...tokens: readonly { token: string }[]): Promise<number> => {
      const { calls } = service.transport;
      for (const { token } of tokens) expect(await service.resultOf(token)).toBe("ok");
      return service.transport.calls - calls;
    };
    const hot = await auth.rootKey();
    const cold = await Promise.all(Array.from({ length: 30 }, () => auth.rootKey()));
    expect(await callsFor(hot)).toBe(1);
    for (const key of cold) expect(await callsFor(key, hot)).toBe(1);
    expect(await callsFor(...cold)).toBeGreaterThan(10);
  });

  it("for an unknown token is not repeated at once, and the memory of cached refusals is bounded", async () => {
    // An eighth of the memory is for refusals: room for two.
    const service = await startVerifier({ ...stoppedClock, maxBytes: 32_768 });
    const [a, b, c] = [mintToken("key"), mintToken("key"), mintToken("key")];
    const callsFor = async (...tokens: readonly string[]): Promise<number> => {
      const { calls } = service.transport;
      for (const token of tokens) expect(await service.resultOf(token)).toBe("CREDENTIAL_INVALID");
      return service.transport.calls - calls;
    };
    expect(await callsFor(a, b, b)).toBe(2);
    expect(await callsFor(c, a)).toBe(2);
  });
});

describe("a change that is lost on its way", () => {
  it("is noticed by the next change: every key is verified again", async () => {
    const service = await startVerifier(stoppedClock);
    const [lost, next] = [await service.mintCachedKey(), await service.mintCachedKey()];
    service.transport.changesToLose = 1;
    await revoke(lost.root, lost.id);
    await eventually(() => service.transport.changesToLose === 0);
    const { changesDelivered } = service.transport;
    await revoke(next.root, next.id);
    await eventually(() => service.transport.changesDelivered > changesDelivered);
    expect([await service.resultOf(lost.token), await service.resultOf(next.token)]).toEqual(
      Array(2).fill("CREDENTIAL_REVOKED"),
    );
  });

  it("is noticed within about a second without another change", async () => {
    const service = await startVerifier(stoppedClock);
    const { root, id, token } = await service.mintCachedKey();
    service.transport.changesToLose = 1;
    await revoke(root, id);
    expect(await awaitRefusal(service, token)).toBe("CREDENTIAL_REVOKED");
    expect(service.transport.changesDelivered).toBe(0);
  });

  it("is noticed by the auth service after its own connection was closed", async () => {
    const service = await startVerifier(stoppedClock);
    const { root, id, token } = await service.mintCachedKey();
    const listening = sql<object>`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and query ~ '^(listen|select sequence)' and pid <> pg_backend_pid()`;
    expect((await auth.rowsOf(listening)).length).toBeGreaterThan(0);
    await revoke(root, id);
    expect(await awaitRefusal(service, token)).toBe("CREDENTIAL_REVOKED");
  });
});

describe("a stalled feed", () => {
  it("is noticed within 5 s: keys are verified by call until it is live again", async () => {
    const service = await startVerifier();
    const [revoked, good] = [await service.mintCachedKey(), await service.mintCachedKey()];
    service.transport.feedStalled = true;
    const stalledAt = performance.now();
    await revoke(revoked.root, revoked.id);
    expect(await awaitRefusal(service, revoked.token)).toBe("CREDENTIAL_REVOKED");
    expect(performance.now() - stalledAt).toBeLessThan(5_000);
    const { calls } = service.transport;
    for (let round = 0; round < 3; round++) expect(await service.resultOf(good.token)).toBe("ok");
    expect(service.transport.calls).toBe(calls + 3);
    service.transport.feedStalled = false;
    await eventually(async () => {
      const { calls } = service.transport;
      return (await service.resultOf(good.token)) === "ok" && service.transport.calls === calls;
    });
  });

  it("together with an unreachable auth service makes every key unavailable within 5 s", async () => {
    const service = await startVerifier();
    const { token } = await service.mintCachedKey();
    service.transport.feedStalled = true;
    service.transport.callsFail = true;
    const stalledAt = performance.now();
    expect(await service.resultOf(token)).toBe("ok");
    expect(await awaitRefusal(service, token)).toBe("DEPENDENCY_UNAVAILABLE");
    expect(performance.now() - stalledAt).toBeLessThan(5_000);
  });
});
