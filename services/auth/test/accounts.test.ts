import { Code } from "@connectrpc/connect";
import { mintToken } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, INSTALLER_TOKEN, refusal, startAuthUnderTest } from "./auth-under-test.ts";

let auth: AuthUnderTest;
let names = 0;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const operator = () => auth.as(auth.operatorToken);
const newName = () => `a${++names}`;
/** An account with a namespace `shared` and a root key in that. */
async function createAccountWithKey() {
  const name = newName();
  const { account } = await operator().accounts.createAccount({ name });
  const { namespace } = await operator().namespaces.createNamespace({ name: "shared", account: name });
  const root = await auth.rootKey(namespace?.id);
  return { name, id: account?.id ?? "", namespaceId: namespace?.id ?? "", root };
}
const idsOf = async (token: string, request: object = {}) =>
  (await auth.as(token).namespaces.listNamespaces({ pageSize: 1000, ...request })).namespaces.map(({ id }) => id);

describe("an account", () => {
  it("is created, read by name and id, listed oldest first and renamed", async () => {
    const name = newName();
    const { account } = await operator().accounts.createAccount({ name });
    expect(account).toMatchObject({ id: expect.stringMatching(/^acc_/), name });
    for (const each of [name, account?.id ?? ""]) {
      expect((await operator().accounts.getAccount({ account: each })).account).toEqual(account);
    }
    const list = (await operator().accounts.listAccounts({})).accounts;
    expect(list[0]?.name).toBe("default");
    expect(list.at(-1)).toEqual(account);
    const [first, second] = [
      await operator().accounts.listAccounts({ pageSize: 1 }),
      await operator().accounts.listAccounts({ pageSize: 1000 }),
    ];
    const rest = await operator().accounts.listAccounts({ pageSize: 1000, pageToken: first.nextPageToken });
    expect([...first.accounts, ...rest.accounts]).toEqual(second.accounts);
    const renamed = await operator().accounts.renameAccount({ account: name, name: `${name}-new` });
    expect(renamed.account).toEqual({ ...account, name: `${name}-new` });
    expect((await operator().accounts.renameAccount({ account: `${name}-new`, name: `${name}-new` })).account).toEqual(
      renamed.account,
    );
    expect(await refusal(operator().accounts.getAccount({ account: name }))).toMatchObject({ code: Code.NotFound });
  });

  it("has a unique name on the node", async () => {
    const [first, second] = [newName(), newName()];
    for (const name of [first, second]) await operator().accounts.createAccount({ name });
    const { createAccount, renameAccount } = operator().accounts;
    for (const call of [() => createAccount({ name: first }), () => renameAccount({ account: second, name: first })]) {
      expect(await refusal(call())).toMatchObject({ code: Code.AlreadyExists, reason: "NAME_TAKEN" });
    }
  });

  it.each(["", " ", "A", "Team", "1a", "-a", "a_b", "acc_x", "a\u0000", "a".repeat(64), "ä"])(
    "cannot be named %j",
    async (name) => {
      const { createAccount, renameAccount } = operator().accounts;
      for (const call of [() => createAccount({ name }), () => renameAccount({ account: "default", name })]) {
        expect(await refusal(call())).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID" });
      }
    },
  );

  it("that does not exist is NOT_FOUND everywhere, like any other text", async () => {
    for (const account of [
      newId("acc"),
      "acc_x",
      "nobody",
      auth.namespaceId,
      "' or 1=1 --",
      "\u0000",
      "x".repeat(5000),
    ]) {
      const { accounts, namespaces } = operator();
      for (const call of [
        () => accounts.getAccount({ account }),
        () => accounts.renameAccount({ account, name: "x" }),
        () => namespaces.createNamespace({ name: "x", account }),
        () => namespaces.listNamespaces({ account }),
        () => auth.operator({ account }),
      ]) {
        expect(await refusal(call())).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
      }
    }
  });

  it("keeps its keys valid when it is renamed, and the change is in the audit log", async () => {
    const { id, name, root } = await createAccountWithKey();
    await operator().accounts.renameAccount({ account: id, name: newName() });
    expect(await auth.verify(root.token)).toMatchObject({ case: "key", value: { accountId: id } });
    const { entries } = await operator().audit.listAuditEntries({ filter: { targetId: id } });
    expect(entries.map(({ action, before }) => [action, before])).toEqual([
      ["account.rename", { name }],
      ["account.create", undefined],
    ]);
  });
});

it("a node whose account default was renamed is still set up only once, with one token", async () => {
  const alone = await startAuthUnderTest();
  await alone.as(alone.operatorToken).accounts.renameAccount({ account: "default", name: "renamed" });
  const { bootstrap } = alone.as(INSTALLER_TOKEN);
  expect(await refusal(bootstrap.bootstrapNode({ operatorToken: mintToken("operator") }))).toMatchObject({
    code: Code.FailedPrecondition,
  });
  const again = await bootstrap.bootstrapNode({ operatorToken: alone.operatorToken });
  expect(again).toMatchObject({ accountId: "", namespaceId: "" });
  expect((await alone.as(alone.operatorToken).accounts.listAccounts({})).accounts).toHaveLength(1);
  await alone.stop();
});

describe("several accounts", () => {
  it("may each have a namespace of the same name, which is then ambiguous", async () => {
    const [first, second] = [await createAccountWithKey(), await createAccountWithKey()];
    expect(await refusal(operator().namespaces.createNamespace({ name: "shared", account: first.id }))).toMatchObject({
      reason: "NAME_TAKEN",
    });
    const { namespaces, keys } = operator();
    const request = { name: "x", scopes: ["keys:read"] };
    for (const call of [
      () => keys.mintRootKey({ ...request, namespace: "shared" }),
      () => namespaces.getNamespace({ namespace: "shared" }),
      () => namespaces.suspendNamespace({ namespace: "shared" }),
      () => namespaces.renameNamespace({ namespace: "shared", name: "x" }),
    ]) {
      const refused = await refusal(call());
      expect(refused).toMatchObject({ code: Code.FailedPrecondition, reason: "NAME_AMBIGUOUS" });
      for (const { namespaceId } of [first, second]) expect(refused.message).toContain(namespaceId);
    }
    for (const { namespaceId, root } of [first, second]) {
      await keys.mintRootKey({ ...request, namespace: namespaceId });
      expect((await auth.verify(root.token)).case).toBe("key");
    }
  });

  it("list a bounded number of ids in the error for a name that many of them have", async () => {
    await auth.rowsOf(sql`with added as (
        insert into accounts (id, name, created_at)
        select 'acc_many' || n, 'many-' || n, now() from generate_series(1, 300) n returning id)
      insert into namespaces (id, account_id, name, created_at)
      select replace(id, 'acc_', 'ns_'), id, 'everywhere', now() from added`);
    const { namespaces } = operator();
    for (const call of [namespaces.getNamespace, namespaces.suspendNamespace]) {
      const refused = await refusal(call({ namespace: "everywhere" }));
      expect(refused).toMatchObject({ reason: "NAME_AMBIGUOUS", message: expect.stringContaining("and others") });
      expect(refused.infoMetadata["ids"]?.split(" ")).toHaveLength(10);
    }
  });

  it("require that a new namespace names its account", async () => {
    await createAccountWithKey();
    expect(await refusal(operator().namespaces.createNamespace({ name: "whose" }))).toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining("account"),
    });
  });

  it("are distinguished in a list, and can be listed one at a time", async () => {
    const [first, second] = [await createAccountWithKey(), await createAccountWithKey()];
    const all = await operator().namespaces.listNamespaces({ pageSize: 1000 });
    const owners = new Map(all.namespaces.map(({ id, accountId }) => [id, accountId]));
    expect([owners.get(first.namespaceId), owners.get(second.namespaceId)]).toEqual([first.id, second.id]);
    expect(await idsOf(auth.operatorToken, { account: first.name })).toEqual([first.namespaceId]);
  });
});

describe("a credential that is limited to an account", () => {
  it("that is a key sees its own namespace and no other, not even of the same account", async () => {
    const [own, foreign] = [await createAccountWithKey(), await createAccountWithKey()];
    const sibling = await operator().namespaces.createNamespace({ name: "sibling", account: own.id });
    const { namespaces } = auth.as(own.root.token);
    expect(await idsOf(own.root.token)).toEqual([own.namespaceId]);
    expect(await idsOf(own.root.token, { account: own.name })).toEqual([own.namespaceId]);
    expect((await namespaces.getNamespace({ namespace: "shared" })).namespace?.id).toBe(own.namespaceId);
    for (const account of [foreign.id, foreign.name, "default", newId("acc")]) {
      expect(await refusal(namespaces.listNamespaces({ account }))).toMatchObject({ code: Code.NotFound });
    }
    expect(await idsOf(own.root.token, { showDeleted: true })).toEqual([own.namespaceId]);
    const unknown = await refusal(namespaces.getNamespace({ namespace: newId("ns") }));
    for (const namespace of [foreign.namespaceId, sibling.namespace?.id ?? "", "sibling", "ns_x"]) {
      const error = await refusal(namespaces.getNamespace({ namespace }));
      expect([error.code, error.rawMessage, error.reason]).toEqual([Code.NotFound, unknown.rawMessage, unknown.reason]);
    }
  });

  it("that is an operator credential acts on that account only, and finds no ambiguous names", async () => {
    const [own, foreign] = [await createAccountWithKey(), await createAccountWithKey()];
    const { token } = await auth.operator({ account: own.name });
    const { accounts, namespaces, keys } = auth.as(token);
    expect((await accounts.listAccounts({})).accounts.map(({ id }) => id)).toEqual([own.id]);
    expect(await idsOf(token)).toEqual([own.namespaceId]);
    const created = await namespaces.createNamespace({ name: "own" });
    expect(created.namespace?.accountId).toBe(own.id);
    const { key } = await keys.mintRootKey({ namespace: "shared", name: "x", scopes: ["keys:read"] });
    expect((await auth.as(own.root.token).keys.getKey({ id: key?.id ?? "" })).key?.name).toBe("x");
    const namespace = foreign.namespaceId;
    const account = foreign.id;
    for (const call of [
      () => accounts.getAccount({ account }),
      () => namespaces.listNamespaces({ account }),
      () => namespaces.createNamespace({ name: "x", account }),
      () => namespaces.getNamespace({ namespace }),
      () => namespaces.suspendNamespace({ namespace }),
      () => namespaces.deleteNamespace({ namespace }),
      () => keys.mintRootKey({ namespace, name: "x", scopes: ["keys:read"] }),
    ]) {
      expect(await refusal(call())).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
    }
    expect(await auth.verify(foreign.root.token)).toMatchObject({ case: "key" });
  });

  it("that is an operator credential creates and renames no account, not even its own", async () => {
    const own = await createAccountWithKey();
    const { accounts } = auth.as((await auth.operator({ account: own.name })).token);
    for (const call of [
      () => accounts.createAccount({ name: newName() }),
      () => accounts.renameAccount({ account: own.id, name: newName() }),
      () => accounts.renameAccount({ account: "default", name: newName() }),
    ]) {
      expect(await refusal(call())).toMatchObject({ code: Code.PermissionDenied, reason: "ACCOUNT_LIMITED" });
    }
  });

  it("reads the audit log of its own account, by any actor, and of no other", async () => {
    const [own, foreign] = [await createAccountWithKey(), await createAccountWithKey()];
    const { token } = await auth.operator({ account: own.name });
    const { entries } = await auth.as(token).audit.listAuditEntries({ pageSize: 1000 });
    const targets = entries.map(({ targetId }) => targetId);
    for (const each of [own.id, own.namespaceId, own.root.id]) expect(targets).toContain(each);
    for (const each of [foreign.id, foreign.namespaceId, foreign.root.id]) expect(targets).not.toContain(each);
  });
});
