import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { DomainError } from "@routeplane/domain";
import { type Principal, type VerifierOptions } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { type RawBuilder, sql } from "kysely";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, startAuthUnderTest } from "./auth-under-test.ts";
import { startVerifying, type Verifying, warmKey as warmKeyOf } from "./verifier-under-test.ts";

/**
 * Who follows a token through one auth process, while keys are changed through another; and the counter that changes are
 * told by.
 */

let auth: AuthUnderTest;
const started: Verifying[] = [];

beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterEach(async () => {
  await Promise.all(started.splice(0).map(({ verifier }) => verifier.stop()));
});
afterAll(() => auth.stop());

async function world(options?: VerifierOptions): Promise<Verifying> {
  const verifying = await startVerifying(auth, options);
  started.push(verifying);
  return verifying;
}

const warmKey = (here: Verifying) => warmKeyOf(auth, here);
const revoke = (by: { token: string }, id: string) => auth.as(by.token).keys.revokeKey({ id });

/** As the superuser. */
async function rowsOf<T>(query: RawBuilder<T>): Promise<T[]> {
  const { rows } = await auth.admin.within({}, (tx) => query.execute(tx));
  return rows;
}

describe("who follows a token", () => {
  async function follow({ verifier }: Verifying, token: string) {
    const outcomes: (Principal | DomainError)[] = [];
    const { release } = await verifier.subscribe(token, (outcome) => void outcomes.push(outcome));
    const told = (): string | undefined => outcomes.map((each) => (each instanceof Error ? each.reason : "ok")).at(-1);
    return { release, told, outcomes };
  }

  it("is told at once that the key, or one above it, is revoked", async () => {
    const here = await world();
    const { root, token } = await warmKey(here);
    const { told } = await follow(here, token);
    await revoke(root, root.id);
    // Before the feed could be held to be silent, after which everything is asked anew.
    await eventually(() => told() === "CREDENTIAL_REVOKED", 2_000);
  });

  it("is told of what the key may still do, and not of other keys, and not after it has left", async () => {
    const here = await world();
    const [mine, other] = [await warmKey(here), await warmKey(here)];
    const [staying, gone] = [await follow(here, mine.token), await follow(here, mine.token)];
    gone.release();
    await revoke(other.root, other.id);
    await auth.as(mine.root.token).keys.updateKey({ id: mine.root.id, scopes: ["keys:*", "inference:*"] });
    await eventually(() => staying.told() === "ok");
    expect(staying.outcomes).toMatchObject([{ kind: "key", keyId: mine.id, scopes: ["inference:invoke"] }]);
    expect(gone.outcomes).toEqual([]);
  });

  it("is told when the key expires", async () => {
    const here = await world();
    const root = await auth.rootKey();
    const expiresAt = timestampFromMs(auth.time.now + 60_000);
    const { token } = await auth.as(root.token).keys.mintKey({ name: "brief", scopes: ["keys:read"], expiresAt });
    const { told } = await follow(here, token);
    auth.time.now += 60_000;
    await eventually(() => told() === "CREDENTIAL_EXPIRED");
  });

  it("is told of a revocation while the feed is silent, within 5 s", async () => {
    const here = await world();
    const { root, id, token } = await warmKey(here);
    const { told } = await follow(here, token);
    here.way.feedStalled = true;
    const since = performance.now();
    await revoke(root, id);
    await eventually(() => told() === "CREDENTIAL_REVOKED");
    expect(performance.now() - since).toBeLessThan(5_000);
  });

  it("is told within 5 s that nothing can be known any more, and not before half of that", async () => {
    const here = await world();
    const { token } = await warmKey(here);
    const { told } = await follow(here, token);
    here.way.feedStalled = true;
    here.way.callsFail = true;
    const since = performance.now();
    await eventually(() => told() === "DEPENDENCY_UNAVAILABLE");
    expect(performance.now() - since).toBeLessThan(5_000);
    expect(performance.now() - since).toBeGreaterThan(2_500);
  });
});

describe("the counter of changes", () => {
  const sequence = async (): Promise<number> => {
    const [row] = await rowsOf(sql<{ sequence: bigint }>`select sequence from changes`);
    return Number(row?.sequence);
  };

  it("counts what alters a credential, and neither its use nor a mint", async () => {
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
