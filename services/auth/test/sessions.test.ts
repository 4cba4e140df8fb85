import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { ALL_OPERATOR_SCOPES, ALL_SCOPES } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type AuthUnderTest,
  CONSOLE_TOKEN,
  GATEWAY_TOKEN,
  refusal,
  startAuthUnderTest,
  WORKLOAD_TOKEN,
} from "./auth-under-test.ts";

const HOUR = 3_600_000;

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const sessionsOf = (token: string) => auth.as(token).sessions;
const open = async (token: string, request: { namespace?: string; scopes?: string[] } = {}) => {
  const { session, token: own } = await sessionsOf(token).createSession(request);
  return { ...session!, id: session?.id ?? "", token: own };
};
const namespace = async (name: string, account = "default") =>
  (await auth.as(auth.operatorToken).namespaces.createNamespace({ name, account })).namespace?.id ?? "";
const millis = (time: { seconds: bigint } | undefined) => Number(time?.seconds) * 1_000;

describe("a session of a key", () => {
  it("acts as the key, with its scopes, in its namespace and for 12 hours", async () => {
    const root = await auth.rootKey();
    const session = await open(root.token);
    expect(session.token).toMatch(/^rpw_live_/);
    expect(session).toMatchObject({
      namespaceId: auth.namespaceId,
      namespaceName: "default",
      keyId: root.id,
      operatorId: "",
      name: "root",
      scopes: ALL_SCOPES,
      canExchange: false,
    });
    expect(millis(session.expiresAt)).toBe(Math.floor((auth.time.now + 12 * HOUR) / 1_000) * 1_000);
    expect(await auth.verify(session.token)).toMatchObject({
      case: "key",
      value: {
        keyId: root.id,
        namespaceId: auth.namespaceId,
        scopes: ALL_SCOPES,
        lineage: [root.id],
        sessionId: session.id,
        operatorLineage: [],
        expiresAt: session.expiresAt,
      },
    });
    const { identity } = await auth.as(session.token).identity.whoAmI({});
    expect(identity).toMatchObject({
      case: "key",
      value: { keyId: root.id, sessionId: session.id, expiresAt: session.expiresAt },
    });
  });

  it("holds the scopes that it was opened with and that the key holds now", async () => {
    const root = await auth.rootKey();
    const { id, token } = await auth.subKey(root.token, ["keys:*", "usage:read"]);
    const session = await open(token, { scopes: ["keys:read", "usage:read"] });
    await auth.as(root.token).keys.updateKey({ id, scopes: ["keys:*"], updateMask: { paths: ["scopes"] } });
    expect(await auth.verify(session.token)).toMatchObject({ value: { scopes: ["keys:read"] } });
    const error = await refusal(auth.as(session.token).keys.mintKey({ name: "x", scopes: ["keys:read"] }));
    expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "SCOPE_MISSING" });
  });

  it.each([
    ["more than the key holds", ["policy:read"], Code.PermissionDenied, "SCOPE_EXCEEDS_PARENT"],
    ["a wildcard of one that it holds", ["keys:*"], Code.PermissionDenied, "SCOPE_EXCEEDS_PARENT"],
    ["a scope that is unknown", ["keys:dance"], Code.InvalidArgument, "FIELD_INVALID"],
    ["a scope of operators", ["namespaces:read"], Code.InvalidArgument, "FIELD_INVALID"],
    ["a scope twice", ["keys:read", "keys:read"], Code.InvalidArgument, "FIELD_INVALID"],
    ["a blank scope", [" "], Code.InvalidArgument, "FIELD_INVALID"],
  ])("is refused with %s", async (_case, scopes, code, reason) => {
    const { token } = await auth.rootKey("default", ["keys:read"]);
    expect(await refusal(open(token, { scopes }))).toMatchObject({ code, reason });
  });

  it("ends no later than the key", async () => {
    const root = await auth.rootKey();
    const expiresAt = auth.time.now + HOUR;
    const { token } = await auth.subKey(root.token, ALL_SCOPES, expiresAt);
    const session = await open(token);
    expect(millis(session.expiresAt)).toBe(Math.floor(expiresAt / 1_000) * 1_000);
  });

  it("reaches its own namespace by name and id, and no other one", async () => {
    const { token } = await auth.rootKey();
    const other = await namespace("other");
    for (const own of ["default", auth.namespaceId]) {
      expect(await open(token, { namespace: own })).toMatchObject({ namespaceId: auth.namespaceId });
    }
    for (const foreign of ["other", other, "nowhere", newId("ns")]) {
      const error = await refusal(open(token, { namespace: foreign }));
      expect(error).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
    }
  });

  it("mints sub-keys of the key that it acts as, within its own scopes; they outlive the session", async () => {
    const root = await auth.rootKey();
    const session = await open(root.token, { scopes: ["keys:*", "usage:read"] });
    const { keys } = auth.as(session.token);
    const { key } = await keys.mintKey({ name: "sub", scopes: ["keys:read", "usage:read"] });
    expect(key).toMatchObject({ parentId: root.id });
    expect(key?.expiresAt).toBeUndefined();
    const error = await refusal(keys.mintKey({ name: "wide", scopes: ["policy:read"] }));
    expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "SCOPE_EXCEEDS_PARENT" });
  });

  it("rotates only keys that hold no more than itself", async () => {
    const root = await auth.rootKey();
    const [narrow, wide] = [await auth.subKey(root.token, ["keys:read"]), await auth.subKey(root.token)];
    const { keys } = auth.as((await open(root.token, { scopes: ["keys:*"] })).token);
    expect((await keys.rotateKey({ id: narrow.id })).token).toMatch(/^rp_/);
    for (const { id } of [wide, root]) {
      const error = await refusal(keys.rotateKey({ id }));
      expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "SCOPE_EXCEEDS_PARENT" });
    }
  });

  it("is refused to a token that a rotation replaced", async () => {
    const root = await auth.rootKey();
    await auth.as(root.token).keys.rotateKey({ id: root.id });
    expect(await refusal(open(root.token))).toMatchObject({ reason: "CREDENTIAL_REPLACED" });
    expect(await refusal(sessionsOf(root.token).createSignInCode({}))).toMatchObject({ reason: "CREDENTIAL_REPLACED" });
  });
});

describe("a session of an operator credential", () => {
  it("acts as the operator credential in no namespace", async () => {
    const operator = await auth.operator({ scopes: ["namespaces:*", "keys:write"] });
    const session = await open(operator.token, { scopes: ["namespaces:read"] });
    expect(session).toMatchObject({ namespaceId: "", keyId: "", operatorId: operator.id, canExchange: true });
    expect(await auth.verify(session.token)).toMatchObject({
      case: "operator",
      value: { operatorId: operator.id, scopes: ["namespaces:read"], sessionId: session.id },
    });
    const { namespaces } = auth.as(session.token);
    expect((await namespaces.listNamespaces({})).namespaces.length).toBeGreaterThan(0);
    const error = await refusal(namespaces.createNamespace({ name: "x" }));
    expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "SCOPE_MISSING" });
    expect(await refusal(auth.as(session.token).keys.listKeys({}))).toMatchObject({ code: Code.PermissionDenied });
  });

  it("mints no operator credential beyond its own scopes, and rotates none", async () => {
    const operator = await auth.operator();
    const { token } = await open(operator.token, { scopes: ["operators:*", "audit:read"] });
    const { operators } = auth.as(token);
    await operators.mintOperator({ name: "narrow", scopes: ["audit:read"] });
    for (const call of [
      () => operators.mintOperator({ name: "wide", scopes: ["accounts:read"] }),
      () => operators.rotateOperator({ id: operator.id }),
    ]) {
      const error = await refusal(call());
      expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "SCOPE_EXCEEDS_PARENT" });
    }
  });

  it("acts in a namespace as one root key without a token", async () => {
    const operator = await auth.operator();
    const other = await namespace("acted-in");
    const opened = await Promise.all(Array.from({ length: 4 }, () => open(operator.token, { namespace: "acted-in" })));
    const [session] = opened;
    expect(new Set(opened.map(({ keyId }) => keyId)).size).toBe(1);
    expect(session).toMatchObject({ namespaceId: other, operatorId: operator.id, name: "operator", canExchange: true });
    expect(await auth.verify(session?.token ?? "")).toMatchObject({
      case: "key",
      value: { namespaceId: other, keyId: session?.keyId, scopes: ALL_SCOPES, sessionId: session?.id },
    });
    const { keys } = auth.as(session?.token ?? "");
    const { key } = await keys.getKey({ id: session?.keyId ?? "" });
    expect(key).toMatchObject({ name: "console of operator", prefix: "", parentId: "" });
    const rotated = await refusal(keys.rotateKey({ id: session?.keyId ?? "" }));
    expect(rotated).toMatchObject({ code: Code.FailedPrecondition, reason: "STATE_CONFLICT" });
  });

  it("is not shut out of a namespace by a root key that would change its console key there", async () => {
    const operator = await auth.operator();
    const { keyId: id } = await open(operator.token, { namespace: "default" });
    const { keys } = auth.as((await auth.rootKey()).token);
    const expiresAt = timestampFromMs(auth.time.now + 1_000);
    for (const change of [{ expiresAt }, { scopes: ["usage:read"] }, { name: "mine" }]) {
      const error = await refusal(keys.updateKey({ id, ...change }));
      expect(error).toMatchObject({ code: Code.FailedPrecondition, reason: "STATE_CONFLICT" });
    }
    auth.time.now += 2_000;
    const { token } = await open(operator.token, { namespace: "default" });
    expect(await auth.verify(token)).toMatchObject({ case: "key", value: { scopes: ALL_SCOPES } });
  });

  it("gets a new console key in the namespace after the previous one was revoked", async () => {
    const operator = await auth.operator();
    const first = await open(operator.token, { namespace: "default" });
    await auth.as((await auth.rootKey()).token).keys.revokeKey({ id: first.keyId });
    expect(await auth.verify(first.token)).toMatchObject({ case: "refusal" });
    const second = await open(operator.token, { namespace: "default" });
    expect(second.keyId).not.toBe(first.keyId);
    expect(await auth.verify(second.token)).toMatchObject({ case: "key" });
  });

  it("needs the scope that mints root keys for a namespace, and an active namespace in reach", async () => {
    const { token } = await auth.operator({ scopes: ["namespaces:*"] });
    const error = await refusal(open(token, { namespace: "default" }));
    expect(error).toMatchObject({ reason: "SCOPE_MISSING", infoMetadata: { scope: "keys:write" } });
    await auth.as(auth.operatorToken).accounts.createAccount({ name: "limited" });
    const limited = await auth.operator({ account: "limited" });
    for (const foreign of ["default", auth.namespaceId, newId("ns"), "nowhere"]) {
      expect(await refusal(open(limited.token, { namespace: foreign }))).toMatchObject({ code: Code.NotFound });
    }
    await namespace("suspended");
    await auth.as(auth.operatorToken).namespaces.suspendNamespace({ namespace: "suspended" });
    const suspended = await refusal(open(auth.operatorToken, { namespace: "suspended" }));
    expect(suspended).toMatchObject({ code: Code.FailedPrecondition, reason: "STATE_CONFLICT" });
  });
});

describe("an exchange", () => {
  it("replaces the session by one in another namespace, which ends when it would have", async () => {
    const target = await namespace("target");
    const first = await open(auth.operatorToken);
    auth.time.now += HOUR;
    const { session, token } = await sessionsOf(first.token).exchangeSession({ namespace: "target" });
    expect(session).toMatchObject({
      namespaceId: target,
      namespaceName: "target",
      scopes: ALL_SCOPES,
      canExchange: true,
      name: first.name,
      expiresAt: first.expiresAt,
    });
    expect(await auth.verify(first.token)).toMatchObject({ case: "refusal" });
    expect(await auth.verify(token)).toMatchObject({ case: "key", value: { namespaceId: target } });
    const back = await sessionsOf(token).exchangeSession({});
    expect(back.session).toMatchObject({ namespaceId: "", scopes: ALL_OPERATOR_SCOPES, expiresAt: first.expiresAt });
    expect(await auth.verify(token)).toMatchObject({ case: "refusal" });
    expect(await refusal(sessionsOf(token).exchangeSession({}))).toMatchObject({ code: Code.Unauthenticated });
  });

  it("gives one session for any number of concurrent calls", async () => {
    const first = await open(auth.operatorToken);
    const asked = Array.from({ length: 4 }, () => sessionsOf(first.token).exchangeSession({ namespace: "default" }));
    const settled = await Promise.allSettled(asked);
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("passes on no more operator scopes than the first session had", async () => {
    const { token } = await auth.operator();
    const narrow = await open(token, { scopes: ["keys:write", "namespaces:read"] });
    const { token: inNamespace } = await sessionsOf(narrow.token).exchangeSession({ namespace: "default" });
    const { session } = await sessionsOf(inNamespace).exchangeSession({});
    expect(session?.scopes).toEqual(["keys:write", "namespaces:read"]);
    const without = await open(token, { scopes: ["namespaces:read"] });
    const error = await refusal(sessionsOf(without.token).exchangeSession({ namespace: "default" }));
    expect(error).toMatchObject({ reason: "SCOPE_MISSING", infoMetadata: { scope: "keys:write" } });
    expect(await auth.verify(without.token)).toMatchObject({ case: "operator" });
  });

  it("is refused to a session of a key, to a session with chosen scopes, and to callers without a session", async () => {
    const ofKey = await open((await auth.rootKey()).token);
    const chosen = await open(auth.operatorToken, { namespace: "default", scopes: ["usage:read"] });
    expect(chosen.canExchange).toBe(false);
    for (const { token } of [ofKey, chosen]) {
      for (const target of ["", "default"]) {
        const error = await refusal(sessionsOf(token).exchangeSession({ namespace: target }));
        expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "SESSION_CREDENTIAL_REFUSED" });
      }
    }
    const error = await refusal(sessionsOf(auth.operatorToken).exchangeSession({}));
    expect(error).toMatchObject({ code: Code.FailedPrecondition, reason: "STATE_CONFLICT" });
  });

  it("reaches no namespace out of the operator credential's account", async () => {
    await auth.as(auth.operatorToken).accounts.createAccount({ name: "own" });
    const own = await namespace("in-own", "own");
    const limited = await auth.operator({ account: "own" });
    const { token } = await sessionsOf(limited.token).createSession({ namespace: own });
    const error = await refusal(sessionsOf(token).exchangeSession({ namespace: auth.namespaceId }));
    expect(error).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
  });
});

describe("a session whose namespace was suspended or deleted", () => {
  const leave = (token: string, to = "") => auth.as(CONSOLE_TOKEN).sessions.leaveNamespace({ token, namespace: to });
  const namespaces = () => auth.as(auth.operatorToken).namespaces;

  it.each(["suspended", "deleted"] as const)("is replaced once by a session elsewhere: %s", async (state) => {
    const name = `to-leave-${state}`;
    await namespace(name);
    const inside = await open(auth.operatorToken, { namespace: name });
    await (state === "suspended" ? namespaces().suspendNamespace : namespaces().deleteNamespace)({ namespace: name });
    const refused = await refusal(sessionsOf(inside.token).exchangeSession({}));
    expect(refused).toMatchObject({ code: Code.Unauthenticated, reason: `NAMESPACE_${state.toUpperCase()}` });
    const { session, token } = await leave(inside.token);
    expect(session).toMatchObject({ namespaceId: "", scopes: ALL_OPERATOR_SCOPES, expiresAt: inside.expiresAt });
    expect(await auth.verify(token)).toMatchObject({ case: "operator" });
    expect(await auth.verify(inside.token)).toMatchObject({ value: { message: expect.stringContaining("has ended") } });
    expect(await refusal(leave(inside.token))).toMatchObject({ reason: "CREDENTIAL_REVOKED" });
  });

  it("enters another namespace at once, and never the one that it left", async () => {
    const from = await namespace("left-for-another");
    const to = await namespace("entered-instead");
    const inside = await open(auth.operatorToken, { namespace: from });
    await namespaces().suspendNamespace({ namespace: from });
    expect(await refusal(leave(inside.token, from))).toMatchObject({ reason: "STATE_CONFLICT" });
    const { session, token } = await leave(inside.token, to);
    expect(session).toMatchObject({ namespaceId: to, scopes: ALL_SCOPES });
    expect(await auth.verify(token)).toMatchObject({ case: "key", value: { namespaceId: to } });
  });

  it("is named in the audit log as who made the change", async () => {
    const name = await namespace("left-and-audited");
    const inside = await open(auth.operatorToken, { namespace: name });
    await namespaces().suspendNamespace({ namespace: name });
    await leave(inside.token);
    const entries = sql<{ actor_type: string; actor_id: string }>`select actor_type, actor_id from audit_entries
      where action = 'session.exchange' and target_id = ${inside.id}`;
    expect(await auth.rowsOf(entries)).toEqual([{ actor_type: "session", actor_id: inside.id }]);
  });

  it("stays refused if a key opened it, if its scopes were chosen, or if it has ended or its operator credential is revoked", async () => {
    const name = await namespace("not-to-leave");
    const operator = await auth.operator();
    const ofKey = await open((await auth.rootKey(name)).token);
    const chosen = await open(auth.operatorToken, { namespace: name, scopes: ["usage:read"] });
    const revoked = await open(operator.token, { namespace: name });
    const ended = await open(auth.operatorToken, { namespace: name });
    await sessionsOf(ended.token).endSession({});
    await namespaces().suspendNamespace({ namespace: name });
    await auth.as(auth.operatorToken).operators.revokeOperator({ id: operator.id });
    for (const { token } of [ofKey, chosen]) {
      expect(await refusal(leave(token))).toMatchObject({ reason: "SESSION_CREDENTIAL_REFUSED" });
    }
    for (const { token } of [revoked, ended]) {
      expect(await refusal(leave(token))).toMatchObject({ reason: "CREDENTIAL_REVOKED" });
    }
    for (const token of ["", "rpw_live_x", auth.operatorToken, `${ofKey.token.slice(0, -1)}x`]) {
      expect(await refusal(leave(token))).toMatchObject({ reason: "CREDENTIAL_INVALID" });
    }
  });

  it("is replaced for the console only", async () => {
    const inside = await open(auth.operatorToken, { namespace: "default" });
    for (const by of [inside.token, auth.operatorToken]) {
      const error = await refusal(auth.as(by).sessions.leaveNamespace({ token: inside.token }));
      expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "INTERNAL_ONLY" });
    }
  });
});

describe("a session", () => {
  it("opens no other session and makes no sign-in code", async () => {
    for (const by of [auth.operatorToken, (await auth.rootKey()).token]) {
      const { token } = await open(by);
      for (const call of [() => open(token), () => sessionsOf(token).createSignInCode({})]) {
        const error = await refusal(call());
        expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "SESSION_CREDENTIAL_REFUSED" });
      }
    }
  });

  it("is one of at most 100 of its credential", async () => {
    const { token } = await auth.rootKey();
    const { id } = await open(token);
    for (let count = 1; count < 98; count++) await open(token);
    const last = await Promise.allSettled(Array.from({ length: 6 }, () => open(token)));
    expect(last.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
    expect(await refusal(open(token))).toMatchObject({ code: Code.ResourceExhausted, reason: "LIMIT_REACHED" });
    await sessionsOf(token).revokeSession({ id });
    await open(token);
  });

  it("is one of at most 1,000 that its credential opens within 12 hours, including ended ones", async () => {
    const { token, id } = await auth.rootKey();
    const first = await open(token);
    await sessionsOf(token).revokeSession({ id: first.id });
    await auth.rowsOf(sql`insert into sessions
      (namespace_id, id, key_id, name, scopes, lookup_id, secret_hash, pepper_id, created_at, expires_at, revoked_at, ended_by, address)
      select namespace_id, id || n, key_id, name, scopes, lookup_id || n, secret_hash, pepper_id, created_at, expires_at, revoked_at, ended_by, address
      from sessions, generate_series(1, 998) n where id = ${first.id}`);
    await open(token);
    expect(await refusal(open(token))).toMatchObject({ code: Code.ResourceExhausted, reason: "LIMIT_REACHED" });
    auth.time.now += 12 * HOUR;
    expect(await open(token)).toMatchObject({ keyId: id });
  });

  it("counts an exchange as an opening, and replaces a session also when 100 have not ended", async () => {
    const { token } = await auth.operator();
    const first = await open(token);
    const copies = (from: number, to: number, ended: boolean) =>
      auth.rowsOf(sql`insert into sessions
        (namespace_id, id, operator_id, name, scopes, operator_scopes, lookup_id, secret_hash, pepper_id, created_at, expires_at, revoked_at, ended_by, address)
        select namespace_id, id || n, operator_id, name, scopes, operator_scopes, lookup_id || n, secret_hash, pepper_id, created_at, expires_at,
          case when ${ended} then created_at end, case when ${ended} then 'sign_out' end, address
        from sessions, generate_series(${from}::int, ${to}::int) n where id = ${first.id}`);
    await copies(1, 99, false);
    expect(await refusal(open(token))).toMatchObject({ reason: "LIMIT_REACHED" });
    const second = await sessionsOf(first.token).exchangeSession({ namespace: "default" });
    await copies(100, 997, true);
    const third = await sessionsOf(second.token).exchangeSession({});
    const error = await refusal(sessionsOf(third.token).exchangeSession({ namespace: "default" }));
    expect(error).toMatchObject({ code: Code.ResourceExhausted, reason: "LIMIT_REACHED" });
    expect(await auth.verify(third.token)).toMatchObject({ case: "operator" });
  });

  it("is unknown to service credentials and to services of the operator's own, valid or not", async () => {
    const root = await auth.rootKey();
    const { id, token } = await open(root.token);
    const service = await auth.service();
    const learned = async (by: string) => (await auth.as(by).verification.verifyKey({ token })).outcome;
    const unknown = { case: "refusal", value: { message: "invalid API key" } };
    for (const by of [service.token, WORKLOAD_TOKEN]) expect(await learned(by)).toMatchObject(unknown);
    expect(await learned(GATEWAY_TOKEN)).toMatchObject({ case: "key" });
    await sessionsOf(root.token).revokeSession({ id });
    for (const by of [service.token, WORKLOAD_TOKEN]) expect(await learned(by)).toMatchObject(unknown);
    expect(await learned(GATEWAY_TOKEN)).toMatchObject({ value: { message: "this session has ended: sign in again" } });
  });

  it("is unknown to anybody without its secret", async () => {
    const { token } = await open((await auth.rootKey()).token);
    const tampered = token.replace(/_[0-9A-Za-z]{43}_/, `_${"A".repeat(43)}_`);
    expect(await auth.verify(tampered)).toMatchObject({ case: "refusal", value: { message: "invalid API key" } });
  });
});
