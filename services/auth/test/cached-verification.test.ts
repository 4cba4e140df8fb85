import { createClient } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { mintToken } from "@routeplane/credentials";
import type { Id } from "@routeplane/domain";
import { type ChangeFeed, createChangeFeed } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createKeyStore } from "../src/store/key-store.ts";
import { type AuthUnderTest, startAuthUnderTest } from "./auth-under-test.ts";

/** Cached verification results of an auth process, while keys are changed through another one. */

let auth: AuthUnderTest;

beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

/** Another auth process. */
type Replica = Awaited<ReturnType<typeof startReplica>>;

/** @param changes feed of the changes that it receives; by default those in the database */
async function startReplica(changes?: ChangeFeed, monotonic?: () => number) {
  const client = createClient(VerificationService, await auth.replica(changes, monotonic));
  const resultOf = async (token: string, knownChange = 0n): Promise<string> => {
    const { outcome } = await client.verifyKey({ token, knownChange });
    if (outcome.case === "refusal") return Reason[outcome.value.reason] ?? "";
    return outcome.case === "key" ? outcome.value.scopes.join(" ") : (outcome.case ?? "");
  };
  return { client, resultOf };
}

/** A replica that receives only the changes that the test announces, by a clock that the test moves. */
async function startIsolatedReplica() {
  const changes = createChangeFeed();
  const time = { now: 0 };
  const started = await startReplica(changes, () => time.now);
  changes.confirmed(await lastChange(), true);
  return { ...started, changes, time };
}

const lastChange = async (): Promise<bigint> =>
  (await auth.rowsOf(sql<{ sequence: bigint }>`select sequence from changes`))[0]?.sequence ?? 0n;

/** The result of `work` while no secret can be read in the database, or `waits` if it needs one. */
const withoutSecrets = <T>(work: () => Promise<T>): Promise<T | "waits"> =>
  auth.admin.within({}, async (tx) => {
    await sql`lock table key_secrets, operators in access exclusive mode`.execute(tx);
    const waits = new Promise<"waits">((resolve) => setTimeout(resolve, 300, "waits"));
    return Promise.race([work(), waits]);
  });

const SCOPES = ["inference:invoke", "keys:read"] as const;
const CACHED_SCOPES = SCOPES.join(" ");

/** A sub-key in a namespace of its own, whose verification result the replica has cached. */
async function mintCachedKey({ resultOf }: Pick<Replica, "resultOf">) {
  const name = `cached-${crypto.randomUUID().slice(0, 8)}`;
  await auth.as(auth.operatorToken).namespaces.createNamespace({ name });
  const root = await auth.rootKey(name);
  const { id, token } = await auth.subKey(root.token, SCOPES);
  await eventually(async () => {
    await resultOf(token);
    return (await withoutSecrets(() => resultOf(token))) === CACHED_SCOPES;
  });
  return { name, root, id, token, keys: auth.as(root.token).keys };
}
type CachedKey = Awaited<ReturnType<typeof mintCachedKey>>;

describe("a cached result", () => {
  it("is returned without the database, for keys and operator credentials, and for one second for refusals", async () => {
    const replica = await startIsolatedReplica();
    const { token } = await mintCachedKey(replica);
    const unknown = mintToken("key");
    const resultOf = () => Promise.all([token, auth.operatorToken, unknown].map((each) => replica.resultOf(each)));
    const answers = [CACHED_SCOPES, "operator", "CREDENTIAL_INVALID"];
    expect(await resultOf()).toEqual(answers);
    expect(await withoutSecrets(resultOf)).toEqual(answers);
    replica.time.now += 1_000;
    expect(await withoutSecrets(() => replica.resultOf(token))).toBe(CACHED_SCOPES);
    expect(await withoutSecrets(() => replica.resultOf(unknown))).toBe("waits");
  });

  it.each<[string, (key: CachedKey) => Promise<unknown>, string]>([
    ["revoked", ({ keys, id }) => keys.revokeKey({ id }), "CREDENTIAL_REVOKED"],
    ["rotated", ({ keys, id }) => keys.rotateKey({ id, grace: { seconds: 0n } }), "CREDENTIAL_EXPIRED"],
    ["narrowed", ({ keys, id }) => keys.updateKey({ id, scopes: ["keys:read"] }), "keys:read"],
    ["narrowed above", ({ keys, root }) => keys.updateKey({ id: root.id, scopes: ["keys:*"] }), "keys:read"],
    ["revoked above", ({ keys, root }) => keys.revokeKey({ id: root.id }), "CREDENTIAL_REVOKED"],
    ["suspended", ({ name: namespace }) => operator().suspendNamespace({ namespace }), "NAMESPACE_SUSPENDED"],
    ["deleted", ({ name: namespace }) => operator().deleteNamespace({ namespace }), "NAMESPACE_DELETED"],
  ])("changes by the change feed alone when its key is %s through another replica", async (_, change, expected) => {
    const replica = await startReplica(undefined, () => 0);
    const key = await mintCachedKey(replica);
    await change(key);
    await eventually(async () => (await replica.resultOf(key.token)) === expected);
  });

  it("is invalidated before any subscriber receives the change", async () => {
    const replica = await startReplica();
    const key = await mintCachedKey(replica);
    const changed = Promise.withResolvers<string>();
    const leaving = new AbortController();
    const watching = (async () => {
      for await (const { subjectId } of replica.client.watchChanges({}, { signal: leaving.signal })) {
        if (subjectId === key.id) changed.resolve(await replica.resultOf(key.token));
      }
    })().catch(() => {});
    await key.keys.revokeKey({ id: key.id });
    expect(await changed.promise).toBe("CREDENTIAL_REVOKED");
    leaving.abort();
    await watching;
  });

  it("ends with the expiry and with the grace of its token, to the millisecond", async () => {
    const replica = await startIsolatedReplica();
    const root = await auth.rootKey();
    const brief = await auth.subKey(root.token, SCOPES, auth.time.now + 60_000);
    const replaced = await auth.subKey(root.token, SCOPES);
    await auth.as(root.token).keys.rotateKey({ id: replaced.id, grace: { seconds: 60n } });
    replica.changes.confirmed(await lastChange(), true);
    const resultOf = () => Promise.all([brief, replaced].map(({ token }) => replica.resultOf(token)));
    expect(await resultOf()).toEqual([CACHED_SCOPES, CACHED_SCOPES]);
    auth.time.now += 59_999;
    expect(await withoutSecrets(resultOf)).toEqual([CACHED_SCOPES, CACHED_SCOPES]);
    auth.time.now += 1;
    expect(await resultOf()).toEqual(["CREDENTIAL_EXPIRED", "CREDENTIAL_EXPIRED"]);
  });

  it("is verified again after 30 s, also while in use, and the use of its key is recorded once a minute", async () => {
    const [replica, otherReplica] = [await startIsolatedReplica(), await startIsolatedReplica()];
    const { id, token } = await mintCachedKey(replica);
    const writtenAt = async () =>
      (
        await auth.rowsOf(sql<{ at: Date; xmin: string }>`select last_used_at as at, xmin from keys where id = ${id}`)
      )[0];
    const pass = async (ms: number): Promise<void> => {
      auth.time.now += ms;
      for (const { time, changes } of [replica, otherReplica]) {
        time.now += ms;
        changes.confirmed(await lastChange(), false);
      }
    };
    const first = await writtenAt();
    for (const ms of [1, 29_000, 30_000]) {
      await pass(ms);
      await Promise.all([replica, otherReplica].flatMap(({ resultOf }) => [resultOf(token), resultOf(token)]));
      expect(await writtenAt()).toEqual(first);
    }
    await pass(30_000);
    // In the background: the cached result serves the calls.
    await eventually(async () => {
      await Promise.all([replica, otherReplica].flatMap(({ resultOf }) => [resultOf(token), resultOf(token)]));
      return (await writtenAt())?.at.getTime() === auth.time.now;
    });
  });
});

it("records the use of a key once a minute, over all replicas", async () => {
  const { id } = await auth.rootKey();
  const keys = createKeyStore(auth.database);
  const writtenAt = async () =>
    (await auth.rowsOf(sql<{ at: Date }>`select last_used_at as at from keys where id = ${id}`))[0]?.at.getTime();
  const { now } = auth.time;
  const use = (at: number) => keys.touch(auth.namespaceId as Id<"ns">, id as Id<"key">, new Date(at), 60_000);
  await use(now);
  await Promise.all([use(now + 1), use(now + 59_999)]);
  expect(await writtenAt()).toBe(now);
  await use(now + 60_000);
  expect(await writtenAt()).toBe(now + 60_000);
});

const operator = () => auth.as(auth.operatorToken).namespaces;

describe("a change that a replica has not received", () => {
  it("is in the response to a caller that has received it, and in no other", async () => {
    const replica = await startIsolatedReplica();
    const key = await mintCachedKey(replica);
    await key.keys.revokeKey({ id: key.id });
    const change = await lastChange();
    expect(await replica.resultOf(key.token)).toBe(CACHED_SCOPES);
    expect(await replica.resultOf(key.token, change)).toBe("CREDENTIAL_REVOKED");
    replica.changes.announced(change, key.id);
    expect(await replica.resultOf(key.token)).toBe("CREDENTIAL_REVOKED");
  });

  it("is in every response while the change feed is not live, and after a gap", async () => {
    const replica = await startIsolatedReplica();
    const [first, second] = [await mintCachedKey(replica), await mintCachedKey(replica)];
    await first.keys.revokeKey({ id: first.id });
    replica.changes.lost();
    expect(await replica.resultOf(first.token)).toBe("CREDENTIAL_REVOKED");
    expect(await withoutSecrets(() => replica.resultOf(second.token))).toBe("waits");
    // Live again, with no change missed as far as this replica can tell: its cache is valid again.
    replica.changes.confirmed((await lastChange()) - 1n, true);
    expect(await withoutSecrets(() => replica.resultOf(second.token))).toBe(CACHED_SCOPES);
    await second.keys.revokeKey({ id: second.id });
    replica.changes.announced(await lastChange(), "key_of-another-caller");
    expect(await replica.resultOf(second.token)).toBe("CREDENTIAL_REVOKED");
  });

  it("is in every response once nothing was received from the feed for 2.5 s", async () => {
    const replica = await startIsolatedReplica();
    const key = await mintCachedKey(replica);
    await key.keys.revokeKey({ id: key.id });
    replica.time.now += 2_500;
    expect(await replica.resultOf(key.token)).toBe(CACHED_SCOPES);
    replica.time.now += 1;
    expect(await replica.resultOf(key.token)).toBe("CREDENTIAL_REVOKED");
  });

  it("is in the result of a key even if it is announced between the read of the key and the caching of its result", async () => {
    const replica = await startIsolatedReplica();
    const root = await auth.rootKey();
    const { id, token } = await auth.subKey(root.token, SCOPES);
    const { pending } = await auth.admin.within({}, async (tx) => {
      // The key can be read, but its use cannot be recorded.
      await sql`lock table keys in share mode`.execute(tx);
      const pending = replica.resultOf(token);
      await eventually(async () => {
        const waiting = sql`select from pg_locks where database = (select oid from pg_database where datname = current_database())
          and relation = 'keys'::regclass and not granted`;
        return (await waiting.execute(tx)).rows.length > 0;
      });
      await sql`update keys set revoked_at = now() where id = ${id}`.execute(tx);
      replica.changes.announced((await lastChange()) + 1n, id);
      return { pending };
    });
    expect(await pending).toBe("CREDENTIAL_REVOKED");
    expect(await replica.resultOf(token)).toBe("CREDENTIAL_REVOKED");
  });
});
