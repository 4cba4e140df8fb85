import { newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, startAuthUnderTest } from "./auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

describe("row-level security", () => {
  const tables = [
    "accounts",
    "namespaces",
    "operators",
    "keys",
    "key_secrets",
    "sessions",
    "sign_in_codes",
    "console_keys",
  ] as const;

  it("shows a query without a filter nothing of another namespace, and nothing at all without a scope", async () => {
    await auth.as(auth.operatorToken).namespaces.createNamespace({ name: "other" });
    const other = await auth.rootKey("other");
    await auth.rootKey();
    for (const namespace of ["other", "default", ""]) {
      await auth.as(auth.operatorToken).sessions.createSession({ namespace });
      await auth.as(auth.operatorToken).sessions.createSignInCode({ namespace });
    }
    const unfiltered = (scope: object) =>
      auth.database.within(scope, async (tx) => {
        const rows = await Promise.all(tables.map((table) => tx.selectFrom(table).selectAll().execute()));
        return rows.flat();
      });
    const visible = await unfiltered({ namespaceId: auth.namespaceId });
    expect(visible.length).toBeGreaterThan(2);
    expect(visible.filter((row) => "namespace_id" in row && row.namespace_id !== auth.namespaceId)).toEqual([]);
    expect(JSON.stringify(visible)).not.toContain(other.id);
    expect(await unfiltered({})).toEqual([]);
    expect(await unfiltered({ namespaceId: newId("ns") })).toEqual([]);
    expect(await unfiltered({ lookupId: "x".repeat(22) })).toEqual([]);
  });

  it("lets no transaction write into another namespace", async () => {
    const foreign = newId("ns");
    const write = auth.database.within({ namespaceId: auth.namespaceId }, (tx) =>
      tx
        .insertInto("namespaces")
        .values({ id: foreign, account_id: newId("acc"), name: "x", created_at: new Date() })
        .execute(),
    );
    await expect(write).rejects.toThrow(/row-level security/);
  });

  it("lets no transaction of one account write an operator credential of the node or of another account", async () => {
    const accountId = newId("acc");
    const row = {
      name: "forged",
      prefix: "rpo_live_x",
      scopes: [...(["operators:*"] as const)],
      created_at: new Date(),
    };
    for (const account_id of [null, newId("acc")]) {
      const id = newId("op");
      const write = auth.database.within({ accountId }, (tx) =>
        tx
          .insertInto("operators")
          .values({ ...row, id, account_id, lineage: [id] })
          .execute(),
      );
      await expect(write).rejects.toThrow(/row-level security/);
    }
    await Promise.all([auth.operator(), auth.operator()]);
    const secretsOf = (scope: object) =>
      auth.database.within(scope, async (tx) => (await tx.selectFrom("operator_secrets").selectAll().execute()).length);
    expect(await secretsOf({ node: true })).toBeGreaterThan(2);
    expect(await secretsOf({})).toBe(0);
    expect(await secretsOf({ accountId })).toBe(0);
    expect(await secretsOf({ namespaceId: auth.namespaceId })).toBe(0);
  });

  it("is forced on every table, so that it binds the owner too", async () => {
    const { rows } = await auth.admin.within({}, (tx) =>
      sql<{ relname: string }>`select relname from pg_class join pg_namespace n on n.oid = relnamespace
        where nspname = 'auth' and relkind = 'r' and relname !~ 'kysely'
          and not (relrowsecurity and relforcerowsecurity)`.execute(tx),
    );
    expect(rows).toEqual([]);
  });
});
