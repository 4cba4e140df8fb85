import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { DomainError } from "@routeplane/domain";
import { type Principal, type VerifierOptions } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, startAuthUnderTest } from "./auth-under-test.ts";
import { startVerifierUnderTest, type VerifierUnderTest } from "./verifier-under-test.ts";

/** Subscriptions to a token through one auth process, while keys are changed through another; and the change counter. */

let auth: AuthUnderTest;

beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const startVerifier = (options?: VerifierOptions) => startVerifierUnderTest(auth, options);
const revoke = (by: { token: string }, id: string) => auth.as(by.token).keys.revokeKey({ id });

describe("a subscriber of a token", () => {
  async function subscribe({ verifier }: VerifierUnderTest, token: string) {
    const outcomes: (Principal | DomainError)[] = [];
    const { release } = await verifier.subscribe(token, (outcome) => void outcomes.push(outcome));
    const latest = (): string | undefined =>
      outcomes.map((outcome) => (outcome instanceof Error ? outcome.reason : "ok")).at(-1);
    return { release, latest, outcomes };
  }

  it("receives the error at once when the key, or one above it, is revoked", async () => {
    const service = await startVerifier();
    const { root, token } = await service.mintCachedKey();
    const { latest } = await subscribe(service, token);
    await revoke(root, root.id);
    // Sooner than the feed could stop being live, after which every key is verified again.
    await eventually(() => latest() === "CREDENTIAL_REVOKED", 2_000);
  });

  it("receives the narrowed principal, nothing of other keys, and nothing after its release", async () => {
    const service = await startVerifier();
    const [own, other] = [await service.mintCachedKey(), await service.mintCachedKey()];
    const [staying, gone] = [await subscribe(service, own.token), await subscribe(service, own.token)];
    gone.release();
    await revoke(other.root, other.id);
    await auth.as(own.root.token).keys.updateKey({ id: own.root.id, scopes: ["keys:*", "inference:*"] });
    await eventually(() => staying.latest() === "ok");
    expect(staying.outcomes).toMatchObject([{ kind: "key", keyId: own.id, scopes: ["inference:invoke"] }]);
    expect(gone.outcomes).toEqual([]);
  });

  it("receives the error when the key expires", async () => {
    const service = await startVerifier();
    const root = await auth.rootKey();
    const expiresAt = timestampFromMs(auth.time.now + 60_000);
    const { token } = await auth.as(root.token).keys.mintKey({ name: "brief", scopes: ["keys:read"], expiresAt });
    const { latest } = await subscribe(service, token);
    auth.time.now += 60_000;
    await eventually(() => latest() === "CREDENTIAL_EXPIRED");
  });

  it("receives a revocation within 5 s while the feed is stalled", async () => {
    const service = await startVerifier();
    const { root, id, token } = await service.mintCachedKey();
    const { latest } = await subscribe(service, token);
    service.transport.feedStalled = true;
    const since = performance.now();
    await revoke(root, id);
    await eventually(() => latest() === "CREDENTIAL_REVOKED");
    expect(performance.now() - since).toBeLessThan(5_000);
  });

  it("receives UNAVAILABLE within 5 s, and not before 2.5 s, once the token can no longer be verified", async () => {
    const service = await startVerifier();
    const { token } = await service.mintCachedKey();
    const { latest } = await subscribe(service, token);
    service.transport.feedStalled = true;
    service.transport.callsFail = true;
    const since = performance.now();
    await eventually(() => latest() === "DEPENDENCY_UNAVAILABLE");
    expect(performance.now() - since).toBeLessThan(5_000);
    expect(performance.now() - since).toBeGreaterThan(2_500);
  });
});

describe("the change counter", () => {
  const sequence = async (): Promise<number> => {
    const [row] = await auth.rowsOf(sql<{ sequence: bigint }>`select sequence from changes`);
    return Number(row?.sequence);
  };

  it("counts changes of a credential, and neither its use nor a mint", async () => {
    const root = await auth.rootKey();
    const before = await sequence();
    await auth.as(root.token).keys.mintKey({ name: "sub", scopes: ["keys:read"] });
    auth.time.now += 120_000;
    await auth.as(root.token).identity.whoAmI({});
    expect(await sequence()).toBe(before);
    await revoke(root, root.id);
    expect(await sequence()).toBe(before + 1);
    const again = await auth.rootKey();
    await auth.as(again.token).keys.updateKey({ id: again.id, name: "renamed" });
    expect(await sequence()).toBe(before + 2);
  });

  it("cannot be moved by the process itself", async () => {
    const move = auth.database.within({ namespaceId: auth.namespaceId }, (tx) =>
      sql`update changes set sequence = 0`.execute(tx),
    );
    await expect(move).rejects.toThrow(/permission denied/);
  });
});
