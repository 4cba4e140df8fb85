import { createClient } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { mintToken } from "@routeplane/credentials";
import type { Id } from "@routeplane/domain";
import { type ChangeFeed, createChangeFeed } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { type RawBuilder, sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createKeyStore } from "../src/store/key-store.ts";
import { type AuthUnderTest, startAuthUnderTest } from "./auth-under-test.ts";

/** What an auth process answers from what it keeps, while keys are changed through another one. */

let auth: AuthUnderTest;

beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

/** Another auth process. */
type Process = Awaited<ReturnType<typeof startProcess>>;

/** @param changes where it hears of changes; from the database by default */
async function startProcess(changes?: ChangeFeed, monotonic?: () => number) {
  const client = createClient(VerificationService, await auth.replica(changes, monotonic));
  const ask = async (token: string, knownChange = 0n): Promise<string> => {
    const { outcome } = await client.verifyKey({ token, knownChange });
    if (outcome.case === "refusal") return Reason[outcome.value.reason] ?? "";
    return outcome.case === "key" ? outcome.value.scopes.join(" ") : (outcome.case ?? "");
  };
  return { client, ask };
}

/** A process that hears of changes when the test says so, by a clock that the test moves. */
async function startFedProcess() {
  const changes = createChangeFeed();
  const time = { now: 0 };
  const process = await startProcess(changes, () => time.now);
  changes.confirmed(await lastChange(), true);
  return { ...process, changes, time };
}

const lastChange = async (): Promise<bigint> =>
  (await rowsOf(sql<{ sequence: bigint }>`select sequence from changes`))[0]?.sequence ?? 0n;

/** As the superuser. */
async function rowsOf<T>(query: RawBuilder<T>): Promise<T[]> {
  const { rows } = await auth.admin.within({}, (tx) => query.execute(tx));
  return rows;
}

/** What `work` comes to while no secret can be read, or `waits`. */
const withoutSecrets = <T>(work: () => Promise<T>): Promise<T | "waits"> =>
  auth.admin.within({}, async (tx) => {
    await sql`lock table key_secrets, operators in access exclusive mode`.execute(tx);
    const waits = new Promise<"waits">((resolve) => setTimeout(resolve, 300, "waits"));
    return Promise.race([work(), waits]);
  });

const SCOPES = ["inference:invoke", "keys:read"] as const;
const WARM = SCOPES.join(" ");

/** A key below a root key in a namespace of their own, that the process has verified and answers for by itself. */
async function warmKey({ ask }: Pick<Process, "ask">) {
  const name = `warm-${crypto.randomUUID().slice(0, 8)}`;
  await auth.as(auth.operatorToken).namespaces.createNamespace({ name });
  const root = await auth.rootKey(name);
  const { id, token } = await auth.subKey(root.token, SCOPES);
  await eventually(async () => {
    await ask(token);
    return (await withoutSecrets(() => ask(token))) === WARM;
  });
  return { name, root, id, token, keys: auth.as(root.token).keys };
}
type Warm = Awaited<ReturnType<typeof warmKey>>;

describe("what an auth process has verified", () => {
  it("is answered without the database: keys, operator credentials, and for a second refusals", async () => {
    const here = await startFedProcess();
    const { token } = await warmKey(here);
    const unknown = mintToken("key");
    const ask = () => Promise.all([token, auth.operatorToken, unknown].map((each) => here.ask(each)));
    const answers = [WARM, "operator", "CREDENTIAL_INVALID"];
    expect(await ask()).toEqual(answers);
    expect(await withoutSecrets(ask)).toEqual(answers);
    here.time.now += 1_000;
    expect(await withoutSecrets(() => here.ask(token))).toBe(WARM);
    expect(await withoutSecrets(() => here.ask(unknown))).toBe("waits");
  });

  it.each<[string, (key: Warm) => Promise<unknown>, string]>([
    ["revoked", ({ keys, id }) => keys.revokeKey({ id }), "CREDENTIAL_REVOKED"],
    ["rotated", ({ keys, id }) => keys.rotateKey({ id, grace: { seconds: 0n } }), "CREDENTIAL_EXPIRED"],
    ["narrowed", ({ keys, id }) => keys.updateKey({ id, scopes: ["keys:read"] }), "keys:read"],
    ["narrowed above", ({ keys, root }) => keys.updateKey({ id: root.id, scopes: ["keys:*"] }), "keys:read"],
    ["revoked above", ({ keys, root }) => keys.revokeKey({ id: root.id }), "CREDENTIAL_REVOKED"],
    ["suspended", ({ name: namespace }) => operator().suspendNamespace({ namespace }), "NAMESPACE_SUSPENDED"],
    ["deleted", ({ name: namespace }) => operator().deleteNamespace({ namespace }), "NAMESPACE_DELETED"],
  ])("is known here to be %s through another process, by the feed: time stands still", async (_, change, expected) => {
    const here = await startProcess(undefined, () => 0);
    const key = await warmKey(here);
    await change(key);
    await eventually(async () => (await here.ask(key.token)) === expected);
  });

  it("is forgotten before anybody is told of the change", async () => {
    const here = await startProcess();
    const key = await warmKey(here);
    const changed = Promise.withResolvers<string>();
    const leaving = new AbortController();
    const watching = (async () => {
      for await (const { subjectId } of here.client.watchChanges({}, { signal: leaving.signal })) {
        if (subjectId === key.id) changed.resolve(await here.ask(key.token));
      }
    })().catch(() => {});
    await key.keys.revokeKey({ id: key.id });
    expect(await changed.promise).toBe("CREDENTIAL_REVOKED");
    leaving.abort();
    await watching;
  });

  it("is refused from its expiry and from the end of its grace on, to the millisecond", async () => {
    const here = await startFedProcess();
    const root = await auth.rootKey();
    const brief = await auth.subKey(root.token, SCOPES, auth.time.now + 60_000);
    const replaced = await auth.subKey(root.token, SCOPES);
    await auth.as(root.token).keys.rotateKey({ id: replaced.id, grace: { seconds: 60n } });
    here.changes.confirmed(await lastChange(), true);
    const ask = () => Promise.all([brief, replaced].map(({ token }) => here.ask(token)));
    expect(await ask()).toEqual([WARM, WARM]);
    auth.time.now += 59_999;
    expect(await withoutSecrets(ask)).toEqual([WARM, WARM]);
    auth.time.now += 1;
    expect(await ask()).toEqual(["CREDENTIAL_EXPIRED", "CREDENTIAL_EXPIRED"]);
  });

  it("is read again after 30 s, and its use is written once a minute", async () => {
    const [here, there] = [await startFedProcess(), await startFedProcess()];
    const { id, token } = await warmKey(here);
    const writtenAt = async () =>
      (await rowsOf(sql<{ at: Date; xmin: string }>`select last_used_at as at, xmin from keys where id = ${id}`))[0];
    const pass = async (ms: number): Promise<void> => {
      auth.time.now += ms;
      for (const { time, changes } of [here, there]) {
        time.now += ms;
        changes.confirmed(await lastChange(), false);
      }
    };
    const first = await writtenAt();
    for (const ms of [1, 29_000, 30_000]) {
      await pass(ms);
      await Promise.all([here, there].flatMap(({ ask }) => [ask(token), ask(token)]));
      expect(await writtenAt()).toEqual(first);
    }
    await pass(30_000);
    await Promise.all([here, there].flatMap(({ ask }) => [ask(token), ask(token)]));
    expect((await writtenAt())?.at).toEqual(new Date(auth.time.now));
  });
});

it("writes a use of a key once a minute, however many processes have seen another before", async () => {
  const { id } = await auth.rootKey();
  const keys = createKeyStore(auth.database);
  const writtenAt = async () =>
    (await rowsOf(sql<{ at: Date }>`select last_used_at as at from keys where id = ${id}`))[0]?.at.getTime();
  const { now } = auth.time;
  const use = (at: number) => keys.touch(auth.namespaceId as Id<"ns">, id as Id<"key">, new Date(at), 60_000);
  await use(now);
  await Promise.all([use(now + 1), use(now + 59_999)]);
  expect(await writtenAt()).toBe(now);
  await use(now + 60_000);
  expect(await writtenAt()).toBe(now + 60_000);
});

const operator = () => auth.as(auth.operatorToken).namespaces;

describe("a change that this process has not heard of", () => {
  it("is in the answer to whoever has, and to nobody else", async () => {
    const here = await startFedProcess();
    const key = await warmKey(here);
    await key.keys.revokeKey({ id: key.id });
    const change = await lastChange();
    expect(await here.ask(key.token)).toBe(WARM);
    expect(await here.ask(key.token, change)).toBe("CREDENTIAL_REVOKED");
    here.changes.announced(change, key.id);
    expect(await here.ask(key.token)).toBe("CREDENTIAL_REVOKED");
  });

  it("is in every answer as long as changes cannot be followed, and after a gap", async () => {
    const here = await startFedProcess();
    const [one, other] = [await warmKey(here), await warmKey(here)];
    await one.keys.revokeKey({ id: one.id });
    here.changes.lost();
    expect(await here.ask(one.token)).toBe("CREDENTIAL_REVOKED");
    expect(await withoutSecrets(() => here.ask(other.token))).toBe("waits");
    // Back again, with nothing missed as far as this process knows: what it kept counts again.
    here.changes.confirmed((await lastChange()) - 1n, true);
    expect(await withoutSecrets(() => here.ask(other.token))).toBe(WARM);
    await other.keys.revokeKey({ id: other.id });
    here.changes.announced(await lastChange(), "key_of-somebody-else");
    expect(await here.ask(other.token)).toBe("CREDENTIAL_REVOKED");
  });

  it("is in every answer once the feed has been silent for 2.5 s", async () => {
    const here = await startFedProcess();
    const key = await warmKey(here);
    await key.keys.revokeKey({ id: key.id });
    here.time.now += 2_500;
    expect(await here.ask(key.token)).toBe(WARM);
    here.time.now += 1;
    expect(await here.ask(key.token)).toBe("CREDENTIAL_REVOKED");
  });

  it("and is announced between the reading of a key and the keeping of the answer, is in that answer", async () => {
    const here = await startFedProcess();
    const root = await auth.rootKey();
    const { id, token } = await auth.subKey(root.token, SCOPES);
    const asked = await auth.admin.within({}, async (tx) => {
      // The key can be read, but that it was used cannot be written.
      await sql`lock table keys in share mode`.execute(tx);
      const answer = here.ask(token);
      await eventually(async () => {
        const waiting = sql`select from pg_locks where relation = 'keys'::regclass and not granted`;
        return (await waiting.execute(tx)).rows.length > 0;
      });
      await sql`update keys set revoked_at = now() where id = ${id}`.execute(tx);
      here.changes.announced((await lastChange()) + 1n, id);
      return { answer };
    });
    expect(await asked.answer).toBe("CREDENTIAL_REVOKED");
    expect(await here.ask(token)).toBe("CREDENTIAL_REVOKED");
  });
});
