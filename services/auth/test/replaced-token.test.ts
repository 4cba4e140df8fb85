import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ALL_OPERATOR_SCOPES } from "@routeplane/credentials";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, refusal, startAuthUnderTest } from "./auth-under-test.ts";
import { startVerifierUnderTest } from "./verifier-under-test.ts";

/** Tokens that a rotation replaced, during their grace. */

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const HOUR = 3_600_000;
const READS = ["audit:read", "inference:invoke", "keys:read", "namespace:read", "policy:read", "usage:read"];
/** Codes of a call that a rotation or a revocation overtakes. */
const REFUSALS = [Code.PermissionDenied, Code.FailedPrecondition, Code.Unauthenticated];
const REPLACED = { code: Code.PermissionDenied, reason: "CREDENTIAL_REPLACED" };

/** A root key whose token `old` was replaced by `token`. */
async function replacedKey(scopes?: readonly string[]) {
  const { id, token: old } = await auth.rootKey("default", scopes);
  const { token } = await auth.as(old).keys.rotateKey({ id });
  return { id, old, token };
}

async function replacedOperator(scopes?: readonly string[]) {
  const { id, token: old } = await auth.operator(scopes && { scopes });
  const { token } = await auth.as(auth.operatorToken).operators.rotateOperator({ id });
  return { id, old, token };
}

describe("a key's token that was replaced", () => {
  it("invokes and reads until its grace ends, as far as the key holds those scopes", async () => {
    const every = await replacedKey();
    expect(await auth.verify(every.old)).toMatchObject({ case: "key", value: { keyId: every.id, scopes: READS } });
    const few = await replacedKey(["keys:*", "policy:write", "usage:read"]);
    expect(await auth.verify(few.old)).toMatchObject({ value: { scopes: ["keys:read", "usage:read"] } });
    const none = await replacedKey(["policy:write", "keys:write"]);
    expect(await auth.verify(none.old)).toMatchObject({ case: "key", value: { scopes: [] } });
    expect((await auth.as(every.old).keys.listKeys({})).keys.length).toBeGreaterThan(0);
  });

  it("is reported as replaced, with the end of its grace, by VerifyKey and WhoAmI", async () => {
    const { id, old, token } = await replacedKey();
    const graceEndsAt = timestampFromMs(auth.time.now + HOUR);
    expect(await auth.verify(old)).toMatchObject({ value: { graceEndsAt } });
    expect((await auth.as(old).identity.whoAmI({})).identity.value).toMatchObject({ keyId: id, graceEndsAt });
    const { value } = (await auth.as(token).identity.whoAmI({})).identity;
    expect(value?.graceEndsAt).toBeUndefined();
    expect(value?.scopes).toContain("keys:*");
  });

  it("mints, updates, rotates and revokes no key, and the refusal says why", async () => {
    const { id, old, token } = await replacedKey();
    const child = await auth.subKey(token);
    const { keys } = auth.as(old);
    const calls = [
      keys.mintKey({ name: "x", scopes: ["keys:read"] }),
      ...[id, child.id].flatMap((target) => [
        keys.updateKey({ id: target, name: "x" }),
        keys.rotateKey({ id: target, grace: { seconds: 0n } }),
        keys.rotateKey({ id: target }),
        keys.revokeKey({ id: target }),
      ]),
    ];
    for (const error of await Promise.all(calls.map(refusal))) {
      expect(error).toMatchObject(REPLACED);
      expect(error.infoMetadata).toEqual({
        scope: "keys:write",
        grace_ends_at: new Date(auth.time.now + HOUR).toISOString(),
      });
      expect(error.rawMessage).toMatch(/replaced by a rotation.*use the new token/);
    }
    expect((await auth.verify(token)).case).toBe("key");
    expect(await refusal(auth.as(old).namespaces.createNamespace({ name: "x" }))).toMatchObject({
      reason: "OPERATOR_REQUIRED",
    });
  });

  it("leaves the credentials that it minted before unchanged", async () => {
    const root = await auth.rootKey();
    const child = await auth.subKey(root.token);
    await auth.as(root.token).keys.rotateKey({ id: root.id });
    expect(await auth.verify(child.token)).toMatchObject({
      case: "key",
      value: { scopes: expect.arrayContaining(["keys:*"]) },
    });
    expect((await auth.subKey(child.token)).id).not.toBe("");
  });

  it("is refused a read without its scope because of that scope, not because it was replaced", async () => {
    const { old } = await replacedKey(["keys:*"]);
    expect(await refusal(auth.as(old).audit.listAuditEntries({}))).toMatchObject({
      reason: "SCOPE_MISSING",
      infoMetadata: { scope: "audit:read" },
    });
  });

  it("stays replaced through later rotations", async () => {
    const { id, old, token: second } = await replacedKey();
    const { token: third } = await auth.as(second).keys.rotateKey({ id });
    for (const each of [old, second]) {
      expect(await refusal(auth.as(each).keys.rotateKey({ id }))).toMatchObject(REPLACED);
    }
    expect((await auth.as(third).keys.rotateKey({ id })).token).not.toBe("");
  });
});

describe("an operator's token that was replaced", () => {
  it("reads until its grace ends and does nothing else", async () => {
    const { id, old, token } = await replacedOperator();
    const graceEndsAt = timestampFromMs(auth.time.now + HOUR);
    const reads = ["accounts:read", "audit:read", "namespaces:read", "operators:read", "usage:read"];
    expect(await auth.verify(old)).toMatchObject({ case: "operator", value: { scopes: reads, graceEndsAt } });
    const { operators, keys, namespaces, accounts, identity } = auth.as(old);
    expect((await identity.whoAmI({})).identity.value).toMatchObject({ operatorId: id, graceEndsAt });
    expect((await operators.getOperator({ id })).operator?.id).toBe(id);
    const below = await auth.operator({ by: token });
    const calls = [
      operators.mintOperator({ name: "x", scopes: ["audit:read"] }),
      operators.rotateOperator({ id, grace: { seconds: 0n } }),
      operators.rotateOperator({ id: below.id }),
      operators.revokeOperator({ id: below.id }),
      keys.mintRootKey({ namespace: "default", name: "x", scopes: ["keys:*"] }),
      namespaces.createNamespace({ name: "by-replaced" }),
      namespaces.suspendNamespace({ namespace: "default" }),
      namespaces.deleteNamespace({ namespace: "default" }),
      accounts.createAccount({ name: "by-replaced" }),
    ];
    for (const error of await Promise.all(calls.map(refusal))) {
      expect(error).toMatchObject(REPLACED);
      expect(error.rawMessage).not.toContain("invoke");
    }
    expect((await auth.verify(token)).case).toBe("operator");
    expect((await auth.verify(below.token)).case).toBe("operator");
  });

  it("with write scopes only still identifies the operator", async () => {
    const { id, old } = await replacedOperator(["keys:write", "namespaces:write"]);
    expect(await auth.verify(old)).toMatchObject({ case: "operator", value: { scopes: [] } });
    expect((await auth.as(old).identity.whoAmI({})).identity.value).toMatchObject({ operatorId: id });
  });

  it("leaves the credentials that it minted before unchanged", async () => {
    const { id, token: old } = await auth.operator();
    const below = await auth.operator({ by: old });
    await auth.as(auth.operatorToken).operators.rotateOperator({ id });
    const { value } = await auth.verify(below.token);
    expect(value).toMatchObject({ scopes: [...ALL_OPERATOR_SCOPES].toSorted() });
  });
});

describe("a verifier that has cached the token before the rotation", () => {
  it("reduces the scopes of a rotated key and operator credential by the change feed", async () => {
    const { verifier } = await startVerifierUnderTest(auth, { monotonic: () => 0 });
    const scopesOf = async (token: string) => {
      const principal = await verifier.verify(token);
      return principal.kind === "service" ? [] : principal.scopes;
    };
    const key = await auth.rootKey();
    const operator = await auth.operator();
    expect(await scopesOf(key.token)).toContain("policy:*");
    expect(await scopesOf(operator.token)).toContain("keys:*");
    await auth.as(key.token).keys.rotateKey({ id: key.id });
    await auth.as(auth.operatorToken).operators.rotateOperator({ id: operator.id });
    await eventually(async () => !(await scopesOf(key.token)).includes("policy:*"));
    await eventually(async () => !(await scopesOf(operator.token)).includes("keys:*"));
    expect(await scopesOf(key.token)).toEqual(READS);
    expect(await verifier.verify(key.token)).toMatchObject({ graceEndsAt: new Date(auth.time.now + HOUR) });
  });
});

describe("a call that a rotation of its token overtakes", () => {
  /** The error of `late`, which is verified before the rotation and acts after it: both wait for the lock of the token's row. */
  async function overtaken(table: string, rotate: () => Promise<unknown>, late: () => Promise<unknown>) {
    const calls = await auth.admin.within({}, async (tx) => {
      await sql`select from ${sql.table(table)} where expires_at is null for update`.execute(tx);
      const waitingForLock = async (count: number) => {
        const { rows } =
          await sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
            tx,
          );
        return rows.length >= count;
      };
      const rotated = rotate();
      await eventually(() => waitingForLock(1));
      const refused = refusal(late());
      await eventually(() => waitingForLock(2));
      return { rotated, refused };
    });
    await calls.rotated;
    return calls.refused;
  }

  type Keys = ReturnType<AuthUnderTest["as"]>["keys"];
  it.each<[string, (keys: Keys, id: string, below: string) => Promise<unknown>]>([
    ["rotates itself", (keys, id) => keys.rotateKey({ id, grace: { seconds: 0n } })],
    ["rotates a key below", (keys, _, id) => keys.rotateKey({ id })],
    ["mints", (keys) => keys.mintKey({ name: "late", scopes: ["keys:*"] })],
    ["updates", (keys, _, id) => keys.updateKey({ id, name: "late" })],
    ["revokes", (keys, _, id) => keys.revokeKey({ id })],
  ])("a key that %s with the old token is refused", async (_act, act) => {
    const root = await auth.rootKey();
    const below = await auth.subKey(root.token);
    const { keys } = auth.as(root.token);
    const error = await overtaken(
      "key_secrets",
      () => keys.rotateKey({ id: root.id }),
      () => act(keys, root.id, below.id),
    );
    expect(error).toMatchObject(REPLACED);
    expect((await auth.verify(below.token)).case).toBe("key");
  });

  it.each<[string, (clients: ReturnType<AuthUnderTest["as"]>, id: string, below: string) => Promise<unknown>]>([
    ["rotates itself", ({ operators }, id) => operators.rotateOperator({ id, grace: { seconds: 0n } })],
    ["mints", ({ operators }) => operators.mintOperator({ name: "late", scopes: ["audit:read"] })],
    ["revokes", ({ operators }, _, id) => operators.revokeOperator({ id })],
    ["mints a root key", ({ keys }) => keys.mintRootKey({ namespace: "default", name: "late", scopes: ["keys:*"] })],
  ])("an operator that %s with the old token is refused", async (_act, act) => {
    const operator = await auth.operator();
    const below = await auth.operator({ by: operator.token });
    const clients = auth.as(operator.token);
    const error = await overtaken(
      "operator_secrets",
      () => clients.operators.rotateOperator({ id: operator.id }),
      () => act(clients, operator.id, below.id),
    );
    expect(error).toMatchObject(REPLACED);
    expect((await auth.verify(below.token)).case).toBe("operator");
  });
});

it.each<[string, (clients: ReturnType<AuthUnderTest["as"]>) => Promise<unknown>]>([
  ["mints a root key", ({ keys }) => keys.mintRootKey({ namespace: "default", name: "late", scopes: ["keys:*"] })],
  [
    "mints a service credential",
    ({ services }) => services.mintServiceCredential({ name: "late", scopes: ["keys:verify"], allNamespaces: true }),
  ],
])("a call that a revocation of its operator credential overtakes is refused: one that %s", async (_, act) => {
  const above = await auth.operator();
  const operator = await auth.operator({ by: above.token });
  const { revoked, late } = await auth.admin.within({}, async (tx) => {
    await sql`select from operators where id = ${above.id} for update`.execute(tx);
    const waiting = async (count: number) => {
      const { rows } =
        await sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
          tx,
        );
      return rows.length >= count;
    };
    const revoking = auth.as(auth.operatorToken).operators.revokeOperator({ id: above.id });
    await eventually(() => waiting(1));
    const acting = refusal(act(auth.as(operator.token)));
    await eventually(() => waiting(2));
    return { revoked: revoking, late: acting };
  });
  await revoked;
  expect(await late).toMatchObject({ reason: "CREDENTIAL_REVOKED" });
});

it("concurrent rotations, mints and revocations by one token all end, and those after a rotation are refused", async () => {
  const root = await auth.rootKey();
  let { token } = root;
  for (let round = 0; round < 20; round += 1) {
    const { keys } = auth.as(token);
    const below = await Promise.all([1, 2, 3].map(() => auth.subKey(token)));
    const rotating = keys.rotateKey({ id: root.id });
    const done = await Promise.allSettled([
      ...below.map(({ id }) => keys.revokeKey({ id })),
      ...below.map(({ id }) => keys.rotateKey({ id })),
      ...below.map((each) => auth.as(each.token).keys.rotateKey({ id: each.id })),
      ...below.map(() => keys.mintKey({ name: "late", scopes: ["keys:*"] })),
    ]);
    for (const each of done) {
      if (each.status === "rejected") expect(REFUSALS).toContain(ConnectError.from(each.reason).code);
    }
    ({ token } = await rotating);
  }
});
