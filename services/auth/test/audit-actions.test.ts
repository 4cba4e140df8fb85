import { Code } from "@connectrpc/connect";
import { AUTH_ACTIONS } from "@routeplane/audit";
import { migrateToLatest } from "@routeplane/postgres";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migrations } from "../migrations/index.ts";
import { type AuthUnderTest, refusal, startAuthUnderTest } from "./auth-under-test.ts";

let auth: AuthUnderTest;
let ownerUrl: string;
beforeAll(async () => {
  auth = await startAuthUnderTest(async (clone) => void (ownerUrl = clone.url("routeplane_auth_owner")));
});
afterAll(() => auth.stop());

const operator = () => auth.as(auth.operatorToken);
const actionsOf = async (targetId: string) => {
  const { entries } = await operator().audit.listAuditEntries({ filter: { targetId }, pageSize: 1000 });
  return entries.map(({ action }) => action).toReversed();
};

/** Makes every kind of audited change. Returns the actions of each changed thing, keyed by its id. */
async function changeEverything(): Promise<Map<string, readonly string[]>> {
  const { accounts, namespaces, operators } = operator();
  const changes = new Map<string, readonly string[]>();
  const account = (await accounts.createAccount({ name: `acc-${changes.size}-${Date.now()}` })).account?.id ?? "";
  await accounts.renameAccount({ account, name: `renamed-${Date.now()}` });
  changes.set(account, ["account.create", "account.rename"]);

  const namespace = (await namespaces.createNamespace({ name: "all", account })).namespace?.id ?? "";
  const root = await auth.rootKey(namespace);
  await namespaces.renameNamespace({ namespace, name: "other" });
  for (const times of [1, 2]) {
    for (const change of ["suspendNamespace", "resumeNamespace", "deleteNamespace", "restoreNamespace"] as const) {
      await namespaces[change]({ namespace });
      // A call that changes nothing leaves no entry.
      if (times === 1) await namespaces[change]({ namespace });
    }
  }
  const turns = ["suspend", "resume", "delete", "restore"].map((verb) => `namespace.${verb}`);
  changes.set(namespace, ["namespace.create", "namespace.rename", ...turns, ...turns]);

  const { keys } = auth.as(root.token);
  const { id } = await auth.subKey(root.token);
  await keys.updateKey({ id, name: "new" });
  await keys.rotateKey({ id });
  await keys.updateKey({ id, scopes: ["keys:read"] });
  await keys.revokeKey({ id, reason: "it leaked" });
  await keys.revokeKey({ id });
  changes.set(id, ["key.create", "key.update", "key.rotate", "key.update", "key.revoke"]);

  const { id: op } = await auth.operator();
  await operators.rotateOperator({ id: op });
  await operators.revokeOperator({ id: op });
  changes.set(op, ["operator.create", "operator.rotate", "operator.revoke"]);

  const { id: svc } = await auth.service();
  await auth.as(auth.operatorToken).services.rotateServiceCredential({ id: svc });
  await auth.as(auth.operatorToken).services.revokeServiceCredential({ id: svc });
  changes.set(svc, ["service_credential.create", "service_credential.rotate", "service_credential.revoke"]);

  const { sessions } = operator();
  for (const [action, end] of [
    ["session.end", (token: string) => auth.as(token).sessions.endSession({})],
    ["session.exchange", (token: string) => auth.as(token).sessions.exchangeSession({ namespace })],
    ["session.revoke", (_token: string, id: string) => sessions.revokeSession({ id })],
  ] as const) {
    const { session, token } = await sessions.createSession({});
    await end(token, session?.id ?? "");
    changes.set(session?.id ?? "", ["session.create", action]);
  }
  return changes;
}

describe("the audit log", () => {
  it("records every kind of change with an action of its own, and no action outside of its list", async () => {
    const changes = await changeEverything();
    for (const [id, actions] of changes) expect(await actionsOf(id)).toEqual(actions);
    const names = AUTH_ACTIONS.map(({ action }) => action);
    expect(new Set([...changes.values()].flat())).toEqual(new Set(names));
    for (const action of names) {
      const { entries } = await operator().audit.listAuditEntries({ filter: { action }, pageSize: 1000 });
      expect(new Set(entries.map((entry) => entry.action))).toEqual(new Set([action]));
    }
  });

  it.each([
    "key.revoked",
    "key",
    "KEY.REVOKE",
    "key.revoke ",
    "namespace.update",
    "policy.create",
    "' or 1=1 --",
    "x".repeat(50),
  ])("refuses the unknown action %j and names the known ones, instead of returning no entry", async (action) => {
    const root = await auth.rootKey();
    for (const token of [auth.operatorToken, root.token]) {
      const error = await refusal(auth.as(token).audit.listAuditEntries({ filter: { action } }));
      expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID" });
      expect(error.rawMessage).toMatch(/^filter\.action: must be one that this log has: .*key\.revoke key\.rotate/);
    }
  });

  it("labels entries from before a change of the list like new entries, and changes nothing else in them", async () => {
    const changes = await changeEverything();
    const read = () =>
      auth.admin.within({}, (tx) => tx.selectFrom("audit_entries").selectAll().orderBy("id").execute());
    const before = await read();
    await auth.admin.within({}, async (tx) => {
      await sql`update audit_entries set action = split_part(action, '.', 1) || '.update'
        where before is not null and after is not null`.execute(tx);
    });
    expect(new Set((await read()).map(({ action }) => action))).not.toContain("key.revoke");
    const again = migrations["0009_audit_actions"] ?? expect.fail("no migration of actions");
    await migrateToLatest({ url: ownerUrl, schema: "auth", migrations: { ...migrations, "9999_again": again } });
    expect(await read()).toEqual(before);
    for (const [id, actions] of changes) expect(await actionsOf(id)).toEqual(actions);
  });
});
