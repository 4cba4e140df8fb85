import { Code } from "@connectrpc/connect";
import type { VerifierOptions } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, CONSOLE_TOKEN, refusal, startAuthUnderTest } from "./auth-under-test.ts";
import { startVerifierUnderTest } from "./verifier-under-test.ts";

/** End of sessions: by themselves, and with the credentials that they depend on. */

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const HOUR = 3_600_000;
const sessionsOf = (token: string) => auth.as(token).sessions;
const open = async (token: string, namespace = "") => {
  const { session, token: own } = await sessionsOf(token).createSession({ namespace });
  return { id: session?.id ?? "", keyId: session?.keyId ?? "", token: own };
};
/** `ok`, or the message of the refusal. */
const stateOf = async (token: string) => {
  const outcome = await auth.verify(token);
  return outcome.case === "refusal" ? outcome.value.message : "ok";
};
const namespaces = () => auth.as(auth.operatorToken).namespaces;
/** A monotonic clock that stands still: no result becomes stale by time, and the feed stays live. */
const stoppedClock: VerifierOptions = { monotonic: () => 1_000_000 };

describe("a cached session is refused", () => {
  const cases: readonly [string, () => Promise<{ token: string; end: () => Promise<unknown>; reason: string }>][] = [
    [
      "once it is revoked",
      async () => {
        const root = await auth.rootKey();
        const { id, token } = await open(root.token);
        return { token, end: () => sessionsOf(root.token).revokeSession({ id }), reason: "CREDENTIAL_REVOKED" };
      },
    ],
    [
      "once it has ended itself",
      async () => {
        const { token } = await open((await auth.rootKey()).token);
        return { token, end: () => sessionsOf(token).endSession({}), reason: "CREDENTIAL_REVOKED" };
      },
    ],
    [
      "once its key is revoked",
      async () => {
        const root = await auth.rootKey();
        const { token } = await open(root.token);
        return { token, end: () => auth.as(root.token).keys.revokeKey({ id: root.id }), reason: "CREDENTIAL_REVOKED" };
      },
    ],
    [
      "once a key above its key is revoked",
      async () => {
        const root = await auth.rootKey();
        const { token } = await open((await auth.subKey((await auth.subKey(root.token)).token)).token);
        return { token, end: () => auth.as(root.token).keys.revokeKey({ id: root.id }), reason: "CREDENTIAL_REVOKED" };
      },
    ],
    ...["", "default"].map((namespace): (typeof cases)[number] => [
      `once the operator credential above the one that opened it is revoked, in ${namespace || "no"} namespace`,
      async () => {
        const above = await auth.operator();
        const { token } = await open((await auth.operator({ by: above.token })).token, namespace);
        const end = () => auth.as(auth.operatorToken).operators.revokeOperator({ id: above.id });
        return { token, end, reason: "CREDENTIAL_REVOKED" };
      },
    ]),
    [
      "once its namespace is suspended",
      async () => {
        await namespaces().createNamespace({ name: "to-suspend" });
        const { token } = await open((await auth.rootKey("to-suspend")).token);
        const end = () => namespaces().suspendNamespace({ namespace: "to-suspend" });
        return { token, end, reason: "NAMESPACE_SUSPENDED" };
      },
    ],
    [
      "once its namespace is deleted",
      async () => {
        await namespaces().createNamespace({ name: "to-delete" });
        const { token } = await open(auth.operatorToken, "to-delete");
        const end = () => namespaces().deleteNamespace({ namespace: "to-delete" });
        return { token, end, reason: "NAMESPACE_DELETED" };
      },
    ],
    [
      "once it is exchanged",
      async () => {
        const { token } = await open(auth.operatorToken);
        return {
          token,
          end: () => sessionsOf(token).exchangeSession({ namespace: "default" }),
          reason: "CREDENTIAL_REVOKED",
        };
      },
    ],
    [
      "once its key is rotated without a grace",
      async () => {
        const root = await auth.rootKey();
        const { token } = await open(root.token);
        const end = () => auth.as(root.token).keys.rotateKey({ id: root.id, grace: { seconds: 0n } });
        return { token, end, reason: "CREDENTIAL_REVOKED" };
      },
    ],
    [
      "once its operator credential is rotated without a grace",
      async () => {
        const operator = await auth.operator();
        const { token } = await open(operator.token, "default");
        const end = () =>
          auth.as(auth.operatorToken).operators.rotateOperator({ id: operator.id, grace: { seconds: 0n } });
        return { token, end, reason: "CREDENTIAL_REVOKED" };
      },
    ],
    [
      "12 hours after it was opened",
      async () => {
        const { token } = await open((await auth.rootKey()).token);
        return { token, end: async () => void (auth.time.now += 12 * HOUR), reason: "CREDENTIAL_EXPIRED" };
      },
    ],
  ];

  it.each(cases)("%s", async (_when, prepare) => {
    const service = await startVerifierUnderTest(auth, stoppedClock);
    const { token, end, reason } = await prepare();
    await eventually(async () => {
      const { calls } = service.transport;
      return (await service.resultOf(token)) === "ok" && service.transport.calls === calls;
    });
    await end();
    await eventually(async () => (await service.resultOf(token)) === reason);
  });
});

describe("a session", () => {
  it("outlives a rotation with a grace, and the end of that grace", async () => {
    const root = await auth.rootKey();
    const { token } = await open(root.token);
    await auth.as(root.token).keys.rotateKey({ id: root.id });
    auth.time.now += 2 * HOUR;
    expect(await stateOf(token)).toBe("ok");
  });

  it("of an operator credential outlives a rotation of other keys, and a code ends with a rotation of its key", async () => {
    const root = await auth.rootKey();
    const ofOperator = await open(auth.operatorToken, "default");
    const { code } = await sessionsOf(root.token).createSignInCode({});
    await auth.as(root.token).keys.rotateKey({ id: root.id, grace: { seconds: 0n } });
    expect(await stateOf(ofOperator.token)).toBe("ok");
    expect(await refusal(sessionsOf(CONSOLE_TOKEN).redeemSignInCode({ code }))).toMatchObject({ code: Code.NotFound });
  });

  it("mints nothing once its revocation is committed, though the call was verified before", async () => {
    const root = await auth.rootKey();
    const operator = await auth.operator();
    const [ofKey, ofOperator] = [await open(root.token), await open(operator.token)];
    const mints = {
      [ofKey.id]: () => auth.as(ofKey.token).keys.mintKey({ name: "late", scopes: ["keys:read"] }),
      [ofOperator.id]: () =>
        auth.as(ofOperator.token).keys.mintRootKey({ namespace: "default", name: "late", scopes: ["keys:read"] }),
    };
    for (const [id, mint] of Object.entries(mints)) {
      let minting: Promise<unknown> = Promise.resolve();
      await auth.admin.within({}, async (tx) => {
        await sql`update sessions set revoked_at = now(), ended_by = 'revocation' where id = ${id}`.execute(tx);
        minting = refusal(mint());
        const waiting = sql<{ count: string }>`select count(*) from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`;
        await eventually(async () => (await auth.rowsOf(waiting))[0]?.count !== "0");
      });
      expect(await minting).toMatchObject({ code: Code.Unauthenticated, reason: "CREDENTIAL_REVOKED" });
    }
    const { keys } = await auth.as(root.token).keys.listKeys({ pageSize: 1000 });
    expect(keys.filter(({ name }) => name === "late")).toEqual([]);
  });

  it("is ended once: a second end changes neither its time nor its cause", async () => {
    const root = await auth.rootKey();
    const { id } = await open(root.token);
    const first = await sessionsOf(root.token).revokeSession({ id });
    auth.time.now += HOUR;
    expect((await sessionsOf(root.token).revokeSession({ id })).session).toEqual(first.session);
    const error = await refusal(sessionsOf(root.token).endSession({}));
    expect(error).toMatchObject({ code: Code.FailedPrecondition, reason: "STATE_CONFLICT" });
  });
});

describe("authority over sessions", () => {
  it("of a root key is all of its namespace; of a sub-key, its own and those of the keys below", async () => {
    await namespaces().createNamespace({ name: "alone" });
    const root = await auth.rootKey("alone");
    const sub = await auth.subKey(root.token);
    const below = await auth.subKey(sub.token);
    const opened = {
      root: (await open(root.token)).id,
      sub: (await open(sub.token)).id,
      below: (await open(below.token)).id,
      operator: (await open(auth.operatorToken, "alone")).id,
    };
    const listed = async (token: string) => (await sessionsOf(token).listSessions({})).sessions.map(({ id }) => id);
    expect(await listed(root.token)).toEqual(Object.values(opened));
    expect(await listed(sub.token)).toEqual([opened.sub, opened.below]);
    expect(await listed(below.token)).toEqual([opened.below]);
    expect((await sessionsOf(sub.token).getSession({ id: opened.below })).session?.id).toBe(opened.below);
    expect(await refusal(sessionsOf(sub.token).getSession({ id: opened.root }))).toMatchObject({ code: Code.NotFound });
    for (const id of [opened.root, opened.operator, opened.sub]) {
      const error = await refusal(sessionsOf(below.token).revokeSession({ id }));
      expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "KEY_OUT_OF_LINEAGE" });
    }
    await sessionsOf(sub.token).revokeSession({ id: opened.below });
    await sessionsOf(root.token).revokeSession({ id: opened.operator });
    expect(await listed(root.token)).toEqual([opened.root, opened.sub]);
    const all = await sessionsOf(root.token).listSessions({ showEnded: true });
    expect(all.sessions.map(({ id }) => id)).toEqual(Object.values(opened));
  });

  it("of an operator credential is those of keys in its reach, its own and those below it", async () => {
    await auth.as(auth.operatorToken).accounts.createAccount({ name: "reach" });
    await namespaces().createNamespace({ name: "inside", account: "reach" });
    const limited = await auth.operator({ account: "reach" });
    const ofKey = await open((await auth.rootKey("inside")).token);
    const own = await open(limited.token, "inside");
    const outside = await open((await auth.rootKey()).token);
    const ofAbove = await open(auth.operatorToken, "inside");
    const { sessions } = await sessionsOf(limited.token).listSessions({});
    expect(sessions.map(({ id }) => id)).toEqual([ofKey.id, own.id, ofAbove.id]);
    await sessionsOf(limited.token).revokeSession({ id: ofKey.id });
    await sessionsOf(limited.token).revokeSession({ id: own.id });
    const above = await refusal(sessionsOf(limited.token).revokeSession({ id: ofAbove.id }));
    expect(above).toMatchObject({ code: Code.PermissionDenied, reason: "OPERATOR_OUT_OF_LINEAGE" });
    const foreign = await refusal(sessionsOf(limited.token).revokeSession({ id: outside.id }));
    expect(foreign).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
  });

  it("pages, oldest first, without skips or doubles", async () => {
    const { token } = await auth.rootKey();
    const sub = await auth.subKey(token);
    const opened: string[] = [];
    for (let count = 0; count < 5; count++) opened.push((await open(sub.token)).id);
    const listed: string[] = [];
    let pageToken = "";
    do {
      const page = await sessionsOf(sub.token).listSessions({ pageSize: 2, pageToken });
      listed.push(...page.sessions.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(listed).toEqual(opened);
  });
});

describe("the audit log", () => {
  it("names the session that made a change, and each cause of an end", async () => {
    const root = await auth.rootKey();
    const session = await open(root.token);
    await auth.as(session.token).keys.mintKey({ name: "by a session", scopes: ["keys:read"] });
    const bySession = await auth.as(root.token).audit.listAuditEntries({ filter: { actorId: session.id } });
    expect(bySession.entries).toMatchObject([
      { action: "key.create", actorType: "session", actorId: session.id, namespaceId: auth.namespaceId },
    ]);
    const byKey = await auth.as(root.token).audit.listAuditEntries({ filter: { actorId: root.id } });
    expect(byKey.entries).toMatchObject([{ action: "session.create", actorType: "api_key", targetId: session.id }]);
    const text = JSON.stringify(byKey.entries, (_key, value: unknown) =>
      typeof value === "bigint" ? `${value}` : value,
    );
    expect(text).not.toMatch(/hash|lookup|pepper/);
  });

  it("names the credential that made a code as who opened the session", async () => {
    const root = await auth.rootKey();
    const { code } = await sessionsOf(root.token).createSignInCode({});
    const { session } = await sessionsOf(CONSOLE_TOKEN).redeemSignInCode({ code });
    const { entries } = await auth.as(root.token).audit.listAuditEntries({ filter: { targetId: session?.id ?? "" } });
    expect(entries).toMatchObject([{ action: "session.create", actorType: "api_key", actorId: root.id }]);
  });
});

it("keeps sessions for 30 days after their expiry, and then removes them when others are opened", async () => {
  const root = await auth.rootKey();
  const { id } = await open(root.token);
  const kept = async () =>
    (await sessionsOf(root.token).listSessions({ showEnded: true, pageSize: 1000 })).sessions.some(
      (each) => each.id === id,
    );
  auth.time.now += 12 * HOUR + 30 * 24 * HOUR;
  await open(root.token);
  expect(await kept()).toBe(true);
  auth.time.now += 1;
  await open(root.token);
  expect(await kept()).toBe(false);
});
