import { hashSecret, parseToken, type Peppers } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { migrateToLatest, openDatabase } from "@routeplane/postgres";
import type { TestDatabase } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import { migrations } from "../migrations/index.ts";
import type { AuthSchema } from "../src/store/schema.ts";
import { type AuthUnderTest, startAuthUnderTest } from "./auth-under-test.ts";

/** A node that was set up before operator credentials had scopes. */

const [account, namespace, operator] = [newId("acc"), newId("ns"), newId("op")];

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest(setUpAsBefore);
});
afterAll(() => auth.stop());

async function setUpAsBefore(clone: TestDatabase, operatorToken: string, peppers: Peppers): Promise<void> {
  const { lookupId, secret } = parseToken(operatorToken) ?? expect.fail("malformed token");
  const hash = hashSecret(secret, peppers.current).toString("hex");
  const admin = openDatabase<AuthSchema>({
    url: clone.adminUrlOf("auth"),
    schema: "auth",
    applicationName: "migration-test",
  });
  const run = (statements: string) => admin.within({}, (tx) => sql.raw(statements).execute(tx));
  const migrate = (known: typeof migrations) =>
    migrateToLatest({ url: clone.url("routeplane_auth_owner"), schema: "auth", migrations: known });
  await run(`drop schema auth cascade;
    create schema auth authorization routeplane_auth_owner;
    grant usage on schema auth to routeplane_auth`);
  await migrate(Object.fromEntries(Object.entries(migrations).slice(0, 5)));
  await run(`
    insert into accounts (id, name, created_at) values ('${account}', 'default', now());
    insert into namespaces (id, account_id, name, created_at) values ('${namespace}', '${account}', 'default', now());
    insert into operators (account_id, id, name, lookup_id, secret_hash, pepper_id, created_at)
      values ('${account}', '${operator}', 'bootstrap', '${lookupId}', '\\x${hash}', '${peppers.current.id}', now())`);
  await migrate(migrations);
  await admin.stop();
}

it("keeps its operator credential, which has every scope from then on", async () => {
  const { namespaces, identity, operators, keys } = auth.as(auth.operatorToken);
  expect((await identity.whoAmI({})).identity).toMatchObject({
    value: {
      operatorId: operator,
      name: "bootstrap",
      scopes: ["accounts:*", "audit:*", "keys:*", "namespaces:*", "operators:*", "usage:*"],
    },
  });
  expect(auth.namespaceId).toBe(namespace);
  await namespaces.createNamespace({ name: "later" });
  await keys.mintRootKey({ namespace: "later", name: "root", scopes: ["keys:*"] });
  const minted = await operators.mintOperator({ name: "ci", scopes: ["audit:*"] });
  expect(minted.operator).toMatchObject({ parentId: operator });
  const { operator: rotated, token } = await operators.rotateOperator({ id: operator, grace: { seconds: 0n } });
  expect(rotated).toMatchObject({ id: operator, prefix: token.slice(0, 17), accountId: "" });
  expect((await auth.verify(auth.operatorToken)).case).toBe("refusal");
  expect((await auth.verify(token)).case).toBe("operator");
});

it("has row-level security forced on every table as before", async () => {
  const { rows } = await auth.admin.within({}, (tx) =>
    sql<{ relname: string }>`select relname from pg_class join pg_namespace n on n.oid = relnamespace
      where nspname = 'auth' and relkind = 'r' and relname !~ 'kysely' and not (relrowsecurity and relforcerowsecurity)`.execute(
      tx,
    ),
  );
  expect(rows).toEqual([]);
});
