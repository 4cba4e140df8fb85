import { Code } from "@connectrpc/connect";
import { DomainError, newId } from "@routeplane/domain";
import { accessOf, createVerifier, publishedServices } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { type RawBuilder, sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, refusal, startAuthUnderTest } from "./auth-under-test.ts";

/** Scopes, reach and end of operator credentials. */

const EVERY_SCOPE = [
  "accounts:read",
  "accounts:write",
  "audit:read",
  "keys:write",
  "namespaces:read",
  "namespaces:write",
  "operators:read",
  "operators:write",
  "usage:read",
  "usage:write",
];

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const methods = publishedServices()
  .auth.flatMap((service) => service.methods)
  .flatMap((method) => {
    const rule = accessOf(method).find((each) => each.startsWith("operator:"));
    return rule === undefined ? [] : [{ method, scope: rule.replace("operator:", "") }];
  });

/** Calls any method with an empty request. */
function call(token: string, service: string, method: string): Promise<unknown> {
  const { accounts, keys, namespaces, operators, services, sessions, audit } = auth.as(token);
  const clients: Readonly<Record<string, object>> = {
    AccountService: accounts,
    KeyService: keys,
    NamespaceService: namespaces,
    OperatorService: operators,
    ServiceCredentialService: services,
    SessionService: sessions,
    AuditService: audit,
  };
  const send: unknown = Reflect.get(clients[service] ?? {}, method);
  if (typeof send !== "function") throw new Error(`there is no client of ${service}`);
  return Promise.resolve(send({}));
}

describe("every method for operators", () => {
  it.each(methods.map(({ method, scope }) => [`${method.parent.name}/${method.name}`, scope, method] as const))(
    "%s needs %s, and no other scope replaces it",
    async (_name, scope, method) => {
      const without = await auth.operator({ scopes: EVERY_SCOPE.filter((each) => each !== scope) });
      const refused = await refusal(call(without.token, method.parent.name, method.localName));
      expect(refused).toMatchObject({
        code: Code.PermissionDenied,
        reason: "SCOPE_MISSING",
        message: expect.stringContaining(scope),
        infoMetadata: { scope },
      });
      const only = await auth.operator({ scopes: [scope] });
      const [resource] = scope.split(":");
      const wildcard = await auth.operator({ scopes: [`${resource}:*`] });
      for (const { token } of [only, wildcard]) {
        const answer = await call(token, method.parent.name, method.localName).then(
          () => "ok",
          (error: { code?: Code }) => error.code,
        );
        expect(answer).not.toBe(Code.PermissionDenied);
      }
    },
  );

  it("is one of at least 19, and every scope except those for usage permits one", () => {
    expect(new Set(methods.map(({ scope }) => scope))).toEqual(
      new Set(EVERY_SCOPE.filter((each) => !each.startsWith("usage:"))),
    );
    expect(methods.length).toBeGreaterThanOrEqual(19);
  });
});

describe("a service that caches verification results", () => {
  it("refuses a revoked operator credential, and one below it, once it receives the change", async () => {
    const verifier = createVerifier(await auth.replica(), { monotonic: () => 1_000_000, clock: () => auth.time.now });
    const resultOf = (token: string) =>
      verifier.verify(token).then(
        () => "ok",
        (error: unknown) => (error instanceof DomainError ? error.reason : String(error)),
      );
    const parent = await auth.operator();
    const child = await auth.operator({ by: parent.token, scopes: ["audit:read"] });
    const beside = await auth.operator();
    for (const { token } of [parent, child, beside]) await eventually(async () => (await resultOf(token)) === "ok");
    expect(await verifier.verify(child.token)).toMatchObject({ kind: "operator", scopes: ["audit:read"] });
    await auth.as(auth.operatorToken).operators.revokeOperator({ id: parent.id });
    for (const { token } of [parent, child]) {
      expect(await eventually(async () => ((await resultOf(token)) === "ok" ? undefined : resultOf(token)))).toBe(
        "CREDENTIAL_REVOKED",
      );
    }
    expect(await resultOf(beside.token)).toBe("ok");

    const rotated = await auth.operator();
    await eventually(async () => (await resultOf(rotated.token)) === "ok");
    await auth.as(rotated.token).operators.rotateOperator({ id: rotated.id, grace: { seconds: 0n } });
    await eventually(async () => (await resultOf(rotated.token)) === "CREDENTIAL_EXPIRED");
    await verifier.stop();
  });
});

describe("a change in the database that removes authority", () => {
  const change = (statement: RawBuilder<unknown>) => auth.admin.within({}, (tx) => statement.execute(tx));
  const sequence = async () => {
    const { rows } = await auth.admin.within({}, (tx) =>
      sql<{ sequence: bigint }>`select sequence from changes`.execute(tx),
    );
    return rows[0]?.sequence ?? 0n;
  };

  it("applies to every operator credential below, at the next use", async () => {
    const parent = await auth.operator();
    const child = await auth.operator({ by: parent.token, scopes: ["namespaces:*", "audit:read"] });
    await change(sql`update operators set scopes = '{namespaces:read,audit:*}' where id = ${parent.id}`);
    const { identity } = await auth.as(child.token).identity.whoAmI({});
    expect(identity.value).toMatchObject({ scopes: ["audit:read", "namespaces:read"] });
    expect(await refusal(auth.as(child.token).namespaces.createNamespace({ name: "x" }))).toMatchObject({
      reason: "SCOPE_MISSING",
    });
  });

  it("is counted by the change feed: a change of a credential, and of its secrets", async () => {
    const { id } = await auth.operator();
    const before = await sequence();
    await change(sql`update operator_secrets set expires_at = now() where operator_id = ${id}`);
    expect(await sequence()).toBe(before + 1n);
    await change(sql`update operators set expires_at = now() where id = ${id}`);
    expect(await sequence()).toBe(before + 2n);
  });
});

describe("an operator credential that is limited to an account", () => {
  it("sees the operator credentials of its account, and mints none without that limit", async () => {
    const limited = await auth.operator({ account: "default" });
    const child = await auth.operator({ by: limited.token });
    const { operators } = auth.as(limited.token);
    const { account } = await auth.as(limited.token).identity.whoAmI({});
    expect(account?.name).toBe("default");
    const seen = (await operators.listOperators({})).operators;
    expect(seen.map(({ id }) => id)).toEqual([limited.id, child.id]);
    expect(seen.map(({ accountId }) => accountId)).toEqual([account?.id, account?.id]);
    const nodes = await auth.operator();
    for (const id of [nodes.id, newId("op")]) {
      for (const call of [operators.getOperator, operators.revokeOperator, operators.rotateOperator]) {
        expect(await refusal(call({ id }))).toMatchObject({ code: Code.NotFound });
      }
    }
    expect(await auth.verify(nodes.token)).toMatchObject({ case: "operator" });
    for (const account of [newId("acc"), "acc_x", "nobody", "\u0000", "' or 1=1 --"]) {
      expect(await refusal(auth.operator({ by: limited.token, account }))).toMatchObject({ code: Code.NotFound });
    }
    const { token } = await operators.rotateOperator({ id: limited.id });
    await auth.as(token).operators.revokeOperator({ id: child.id });
    expect(await auth.verify(child.token)).toMatchObject({ case: "refusal" });
  });
});

describe("the audit log", () => {
  it("records everything that an operator does to operators, with the one that did it", async () => {
    const by = await auth.operator();
    const { id } = await auth.operator({ by: by.token, scopes: ["audit:read"] });
    await auth.as(by.token).operators.rotateOperator({ id });
    await auth.as(by.token).operators.revokeOperator({ id, reason: "done" });
    await auth.as(by.token).operators.revokeOperator({ id });
    const { entries } = await auth.as(auth.operatorToken).audit.listAuditEntries({ filter: { targetId: id } });
    expect(entries.map(({ action, actorId, actorType }) => [action, actorId, actorType])).toEqual([
      ["operator.revoke", by.id, "operator"],
      ["operator.rotate", by.id, "operator"],
      ["operator.create", by.id, "operator"],
    ]);
    expect(entries[0]).toMatchObject({ after: { revoked_reason: "done" }, namespaceId: "" });
    expect(entries[2]).toMatchObject({ after: { scopes: ["audit:read"], parent_id: by.id, account_id: null } });
  });

  it("shows an operator that is limited to an account the changes in it, by any actor, and none of the node's", async () => {
    const limited = await auth.operator({ account: "default" });
    const nodes = await auth.operator();
    const root = await auth.rootKey();
    const { entries } = await auth.as(limited.token).audit.listAuditEntries({ pageSize: 1000 });
    const targets = entries.map(({ targetId }) => targetId);
    expect(targets).toContain(root.id);
    expect(targets).toContain(limited.id);
    expect(targets).not.toContain(nodes.id);
  });
});
