import { cloneDatabase, eventually } from "@routeplane/testing";
import type { Kysely } from "kysely";
import pg from "pg";
import { afterAll, expect, it } from "vitest";
import { lockTables } from "../src/lock-tables.ts";
import { migrateToLatest } from "../src/migrate.ts";

const clone = await cloneDatabase();
const admin = new pg.Client({ connectionString: clone.adminUrl });
const observer = new pg.Client({ connectionString: clone.adminUrl });
await Promise.all([admin.connect(), observer.connect()]);
afterAll(async () => {
  await Promise.all([admin.end(), observer.end()]);
  await clone.drop();
});

it("locks tables without delaying or cancelling a query that reads them in another order", async () => {
  await admin.query(`drop schema auth cascade;
    create schema auth authorization routeplane_auth_owner;
    create table auth.one (id int); create table auth.other (id int);
    alter table auth.one owner to routeplane_auth_owner; alter table auth.other owner to routeplane_auth_owner`);
  await admin.query("begin");
  await admin.query("select from auth.other");
  const migrated = migrateToLatest({
    url: clone.url("routeplane_auth_owner"),
    schema: "auth",
    migrations: {
      "0001_both": { up: async (db: Kysely<unknown>) => void (await lockTables(["one", "other"]).execute(db)) },
    },
  });
  await eventually(async () => {
    const { rows } = await observer.query(
      "select from pg_stat_activity where datname = current_database() and state = 'active' and query like '%lock table%'",
    );
    return rows.length > 1;
  });
  await admin.query("set local lock_timeout = '300ms'");
  await admin.query("select from auth.one");
  await admin.query("commit");
  expect(await migrated).toMatchObject({ applied: ["0001_both"] });
});
