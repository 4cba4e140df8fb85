import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { mintToken } from "@routeplane/credentials";
import { type VerifierOptions } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { type RawBuilder, sql } from "kysely";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, startAuthUnderTest } from "./auth-under-test.ts";
import { startVerifying, type Verifying, warmKey as warmKeyOf } from "./verifier-under-test.ts";

/** A service that verifies through one auth process, while keys are changed through another. */

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
const untilRefused = async ({ ask }: Verifying, token: string): Promise<string> =>
  eventually(async () => {
    const answer = await ask(token);
    return answer !== "ok" && answer;
  });

/** As the superuser. */
async function rowsOf<T>(query: RawBuilder<T>): Promise<T[]> {
  const { rows } = await auth.admin.within({}, (tx) => query.execute(tx));
  return rows;
}

/** A clock that stands still: nothing goes out of date, and the feed never counts as silent. */
const timeless: VerifierOptions = { monotonic: () => 1_000_000 };

describe("a warm key", () => {
  it("is refused once it is revoked through another process, without being asked about in between", async () => {
    const here = await world(timeless);
    const { root, id, token } = await warmKey(here);
    const { changesDelivered: heard } = here.way;
    await revoke(root, id);
    await eventually(() => here.way.changesDelivered > heard);
    expect(await here.ask(token)).toBe("CREDENTIAL_REVOKED");
  });

  it("is refused once the key above it is revoked, and others are not asked about again", async () => {
    const here = await world(timeless);
    const [one, other] = [await warmKey(here), await warmKey(here)];
    await revoke(one.root, one.root.id);
    expect(await untilRefused(here, one.token)).toBe("CREDENTIAL_REVOKED");
    const { calls } = here.way;
    expect(await here.ask(other.token)).toBe("ok");
    expect(here.way.calls).toBe(calls);
  });

  it("is refused while its namespace is suspended, and good again at once when that ends", async () => {
    const here = await world(timeless);
    const { namespaces } = auth.as(auth.operatorToken);
    const { namespace } = await namespaces.createNamespace({ name: "suspended" });
    const { token } = await auth.rootKey("suspended");
    expect(await here.ask(token)).toBe("ok");
    await namespaces.suspendNamespace({ namespace: namespace?.id ?? "" });
    expect(await untilRefused(here, token)).toBe("NAMESPACE_SUSPENDED");
    // The refusal is kept, and forgotten by the change alone: time stands still.
    const { calls } = here.way;
    expect(await here.ask(token)).toBe("NAMESPACE_SUSPENDED");
    expect(here.way.calls).toBe(calls);
    await namespaces.resumeNamespace({ namespace: namespace?.id ?? "" });
    await eventually(async () => (await here.ask(token)) === "ok");
  });

  it("is refused from its expiry on, by the clock of whoever keeps it", async () => {
    const here = await world(timeless);
    const root = await auth.rootKey();
    const expiresAt = timestampFromMs(auth.time.now + 60_000);
    const { token } = await auth.as(root.token).keys.mintKey({ name: "brief", scopes: ["keys:read"], expiresAt });
    expect(await here.ask(token)).toBe("ok");
    auth.time.now += 60_000;
    expect(await here.ask(token)).toBe("CREDENTIAL_EXPIRED");
  });

  it("is asked about again after 30 s, however well the feed works and however often it is used", async () => {
    const time = { now: 0 };
    const here = await world({ monotonic: () => time.now });
    const { token } = await warmKey(here);
    const { calls } = here.way;
    for (let second = 0; second < 29; second++) {
      time.now += 1_000;
      // Heard a moment ago, as far as this clock knows.
      const { changesDelivered: heard } = here.way;
      const other = await auth.rootKey();
      await revoke(other, other.id);
      await eventually(() => here.way.changesDelivered > heard);
      expect(await here.ask(token)).toBe("ok");
    }
    expect(here.way.calls).toBe(calls);
    time.now += 1_000;
    expect(await here.ask(token)).toBe("ok");
    expect(here.way.calls).toBe(calls + 1);
  });
});

describe("a call to auth", () => {
  it("is shared by all who ask at once, and not made for junk", async () => {
    const here = await world();
    const { token } = await auth.rootKey();
    const { calls } = here.way;
    expect(await Promise.all(Array.from({ length: 20 }, () => here.ask(token)))).toEqual(Array(20).fill("ok"));
    expect(here.way.calls).toBe(calls + 1);
    const junk = [`${token}x`, token.slice(0, -1), "", "rp_live_x", "x".repeat(65_536)];
    for (const text of junk) expect(await here.ask(text)).toBe("CREDENTIAL_INVALID");
    expect(here.way.calls).toBe(calls + 1);
  });

  it("whose answer is overtaken by a revocation is made again", async () => {
    const here = await world(timeless);
    const root = await auth.rootKey();
    const gate = Promise.withResolvers<void>();
    here.way.gate = gate.promise;
    const asked = here.ask(root.token);
    await eventually(async () => {
      const used = await rowsOf(sql`select from keys where id = ${root.id} and last_used_at is not null`);
      return used.length === 1;
    });
    const { changesDelivered: heard } = here.way;
    await revoke(root, root.id);
    await eventually(() => here.way.changesDelivered > heard);
    gate.resolve();
    expect(await asked).toBe("CREDENTIAL_REVOKED");
  });

  it("is made for the token that was not used for longest, once there are more than are kept", async () => {
    const here = await world({ ...timeless, capacity: 2 });
    const [a, b, c] = [await auth.rootKey(), await auth.rootKey(), await auth.rootKey()];
    const callsFor = async (...tokens: readonly { token: string }[]): Promise<number> => {
      const { calls } = here.way;
      for (const { token } of tokens) expect(await here.ask(token)).toBe("ok");
      return here.way.calls - calls;
    };
    expect(await callsFor(a, b, a, b)).toBe(2);
    expect(await callsFor(c)).toBe(1);
    expect(await callsFor(b, c)).toBe(0);
    expect(await callsFor(a)).toBe(1);
  });

  it("about unknown tokens is not repeated at once, and there is room for only so many of them", async () => {
    const here = await world({ ...timeless, capacity: 2 });
    const [a, b, c] = [mintToken("key"), mintToken("key"), mintToken("key")];
    const callsFor = async (...tokens: readonly string[]): Promise<number> => {
      const { calls } = here.way;
      for (const token of tokens) expect(await here.ask(token)).toBe("CREDENTIAL_INVALID");
      return here.way.calls - calls;
    };
    expect(await callsFor(a, a, b, b)).toBe(2);
    expect(await callsFor(c, a)).toBe(2);
  });
});

describe("a change that is lost on the way", () => {
  it("is noticed by the next change: everything is asked about again", async () => {
    const here = await world(timeless);
    const [lost, next] = [await warmKey(here), await warmKey(here)];
    here.way.changesToLose = 1;
    await revoke(lost.root, lost.id);
    await eventually(() => here.way.changesToLose === 0);
    const { changesDelivered: heard } = here.way;
    await revoke(next.root, next.id);
    await eventually(() => here.way.changesDelivered > heard);
    expect([await here.ask(lost.token), await here.ask(next.token)]).toEqual(Array(2).fill("CREDENTIAL_REVOKED"));
  });

  it("is noticed within about a second if no other follows", async () => {
    const here = await world(timeless);
    const { root, id, token } = await warmKey(here);
    here.way.changesToLose = 1;
    await revoke(root, id);
    expect(await untilRefused(here, token)).toBe("CREDENTIAL_REVOKED");
    expect(here.way.changesDelivered).toBe(0);
  });

  it("is noticed by the auth service when its own connection was cut", async () => {
    const here = await world(timeless);
    const { root, id, token } = await warmKey(here);
    const listening = sql<object>`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and query ~ '^(listen|select sequence)' and pid <> pg_backend_pid()`;
    expect((await rowsOf(listening)).length).toBeGreaterThan(0);
    await revoke(root, id);
    expect(await untilRefused(here, token)).toBe("CREDENTIAL_REVOKED");
  });
});

describe("a silent feed", () => {
  it("is noticed within 5 s: keys are verified by call, until it is back", async () => {
    const here = await world();
    const [revoked, good] = [await warmKey(here), await warmKey(here)];
    here.way.feedStalled = true;
    const silentSince = performance.now();
    await revoke(revoked.root, revoked.id);
    expect(await untilRefused(here, revoked.token)).toBe("CREDENTIAL_REVOKED");
    expect(performance.now() - silentSince).toBeLessThan(5_000);
    const { calls } = here.way;
    for (let round = 0; round < 3; round++) expect(await here.ask(good.token)).toBe("ok");
    expect(here.way.calls).toBe(calls + 3);
    here.way.feedStalled = false;
    await eventually(async () => {
      const { calls } = here.way;
      return (await here.ask(good.token)) === "ok" && here.way.calls === calls;
    });
  });

  it("and an auth service that does not answer: every key is refused as unavailable within 5 s", async () => {
    const here = await world();
    const { token } = await warmKey(here);
    here.way.feedStalled = true;
    here.way.callsFail = true;
    const since = performance.now();
    expect(await here.ask(token)).toBe("ok");
    expect(await untilRefused(here, token)).toBe("DEPENDENCY_UNAVAILABLE");
    expect(performance.now() - since).toBeLessThan(5_000);
  });
});
