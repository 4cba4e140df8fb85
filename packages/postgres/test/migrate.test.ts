import { cloneDatabase, eventually } from "@routeplane/testing";
import { type Kysely, sql } from "kysely";
import pg from "pg";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { buildIndex } from "../src/build-index.ts";
import { openDatabase } from "../src/database.ts";
import { isMigrated } from "../src/is-migrated.ts";
import { type MigrationOptions, type Migrations, migrateToLatest, type SchemaMigration } from "../src/migrate.ts";

const clone = await cloneDatabase();
const url = clone.url("routeplane_auth_owner");
const admin = new pg.Client({ connectionString: clone.adminUrl });
await admin.connect();
await admin.query("set search_path = auth");
afterAll(async () => {
  await admin.end();
  await clone.drop();
});

beforeEach(async () => {
  await admin.query(`drop schema auth cascade;
    create schema auth authorization routeplane_auth_owner;
    grant usage on schema auth to routeplane_auth`);
});

const run = (statement: string): SchemaMigration => ({
  up: async (db: Kysely<unknown>) => void (await sql.raw(statement).execute(db)),
});
const FIRST = { "0001_things": run("create table things (id int primary key, note text)") };
const SECOND = { ...FIRST, "0002_more": run("alter table things add column more text") };
const THIRD = { ...SECOND, "0003_most": run("alter table things add column most text") };

const migrate = (migrations: Migrations, options: Partial<MigrationOptions> = {}) =>
  migrateToLatest({ url, schema: "auth", migrations, ...options });

/** State of the schema for a process of a build with these migrations. */
async function stateFor(migrations: Migrations) {
  const database = openDatabase({
    url: clone.url("routeplane_auth"),
    schema: "auth",
    migrations,
    applicationName: "migrate-test",
  });
  try {
    return await database.schemaState();
  } finally {
    await database.stop();
  }
}

const isMigratedFor = (migrations: Migrations): Promise<boolean> =>
  isMigrated({ url, schema: "auth", known: Object.keys(migrations) });

async function columns(): Promise<readonly string[]> {
  const { rows } = await admin.query<{ name: string }>(
    "select attname as name from pg_attribute where attrelid = 'things'::regclass and attnum > 0 order by attnum",
  );
  return rows.map(({ name }) => name);
}

describe("a build", () => {
  it("serves on a schema with all of its migrations, and on none that lacks one", async () => {
    expect(await stateFor(FIRST)).toMatchObject({ state: "older", missing: ["0001_things"] });
    await migrate(SECOND);
    expect(await stateFor(SECOND)).toEqual({ state: "current", missing: [], unknown: [] });
    expect(await stateFor(FIRST)).toEqual({ state: "newer", missing: [], unknown: ["0002_more"] });
    expect(await stateFor(THIRD)).toEqual({ state: "older", missing: ["0003_most"], unknown: [] });
  });

  it("has nothing to migrate once all of its migrations are applied and processes may read that", async () => {
    expect(await isMigratedFor(FIRST)).toBe(false);
    await migrate(SECOND);
    expect(await Promise.all([FIRST, SECOND, THIRD].map(isMigratedFor))).toEqual([true, true, false]);
    await admin.query("revoke select on auth.kysely_migration from routeplane_auth");
    expect(await isMigratedFor(SECOND)).toBe(false);
  });

  it("does not serve on a schema that lacks one of its migrations and has an unknown one", async () => {
    await migrate({ ...FIRST, "0002_other": run("select 1") });
    expect(await stateFor(SECOND)).toMatchObject({ state: "older", missing: ["0002_more"], unknown: ["0002_other"] });
  });

  it("leaves a newer schema as it is, names the unknown migrations, and lets a newer build continue", async () => {
    await migrate(SECOND);
    expect(await migrate(FIRST)).toEqual({ applied: [], unknown: ["0002_more"] });
    expect(await columns()).toEqual(["id", "note", "more"]);
    expect(await migrate(THIRD)).toEqual({ applied: ["0003_most"], unknown: [] });
  });

  it("refuses to apply a migration that comes before one that is applied", async () => {
    await migrate({ ...FIRST, "0003_other": run("select 1") });
    await expect(migrate(THIRD)).rejects.toThrow(/0002_more is not applied, but the schema has 0003_other/);
    expect(await columns()).toEqual(["id", "note"]);
    const both = { ...THIRD, "0003_other": run("select 1") };
    await expect(migrate(both)).rejects.toThrow(/0002_more is not applied, but the later 0003_other is/);
    expect(await columns()).toEqual(["id", "note"]);
  });

  it.each(["0000_before", "0002_another", "0002_zero", "9999_after"])(
    "refuses to apply its migrations on top of the unknown %s, until a build that has all of them is deployed",
    async (name) => {
      await migrate(SECOND);
      // As a build of another line would have left it: applied last, whatever its name.
      await admin.query("insert into kysely_migration values ($1, $2)", [name, new Date().toISOString()]);
      await expect(migrate(THIRD)).rejects.toThrow(
        `0003_most is not applied, but the schema has ${name}, which this build does not know`,
      );
      expect(await columns()).toEqual(["id", "note", "more"]);
      expect(await stateFor(THIRD)).toMatchObject({ state: "older", missing: ["0003_most"], unknown: [name] });
      expect(await migrate(SECOND)).toEqual({ applied: [], unknown: [name] });
      expect(await stateFor(SECOND)).toMatchObject({ state: "newer" });
    },
  );
});

describe("a migration", () => {
  it("waits a bounded time for a lock, lets queued requests pass, and is repeated until it gets it", async () => {
    await migrate(FIRST);
    await admin.query("begin; lock table things in access share mode");
    const reasons: string[] = [];
    const migrating = migrate(SECOND, { lockTimeoutMs: 50, onWait: (reason) => reasons.push(reason) });
    await eventually(() => reasons.length > 0, 10_000);
    const other = new pg.Client({ connectionString: clone.adminUrl });
    await other.connect();
    // Succeeds although the reader still holds its lock: nothing waits for the exclusive lock between two attempts.
    await other.query("set statement_timeout = 5000; select from auth.things");
    await other.end();
    await admin.query("commit");
    expect(await migrating).toMatchObject({ applied: ["0002_more"] });
    expect(reasons[0]).toMatch(/0002_more did not get its locks/);
  });

  it("that never gets its lock fails, names itself, and leaves the schema as it was", async () => {
    await migrate(FIRST);
    await admin.query("begin; lock table things in access share mode");
    await expect(migrate(THIRD, { lockTimeoutMs: 50, attempts: 2 })).rejects.toThrow(/0002_more did not get its locks/);
    await admin.query("commit");
    expect(await stateFor(SECOND)).toMatchObject({ state: "older", missing: ["0002_more"] });
  });

  it("is applied once by processes that start together", async () => {
    const results = await Promise.all([migrate(THIRD), migrate(THIRD), migrate(SECOND)]);
    const applied = results.flatMap((result) => result.applied);
    expect(applied.toSorted()).toEqual(Object.keys(THIRD));
  });

  it("that fails is rolled back, and those before it stay applied", async () => {
    const broken = { ...SECOND, "0003_broken": run("alter table things add column gone text; select 1 / 0") };
    await expect(migrate(broken)).rejects.toThrow(/division by zero/);
    expect(await columns()).toEqual(["id", "note", "more"]);
    expect(await stateFor(broken)).toMatchObject({ missing: ["0003_broken"] });
  });
});

describe("an index", () => {
  const building = (table: string, name = "by_note"): SchemaMigration => ({
    isConcurrent: true,
    up: (db: Kysely<unknown>) => buildIndex(db, { name, table, definition: "(note)" }),
  });
  const invalid = async (): Promise<readonly string[]> => {
    const { rows } = await admin.query<{ name: string }>(
      `select indexrelid::regclass::text as name from pg_index join pg_class c on c.oid = indrelid
       where c.relnamespace = 'auth'::regnamespace and not indisvalid`,
    );
    return rows.map(({ name }) => name);
  };

  it("is built while another process waits to migrate and a writer holds its transaction open", async () => {
    await migrate(FIRST);
    const writer = new pg.Client({ connectionString: clone.adminUrl });
    await writer.connect();
    await writer.query("begin; insert into auth.things values (1, 'open')");
    const migrations = { ...FIRST, "0002_index": building("things") };
    const first = migrate(migrations);
    const second = migrate(migrations);
    const isBuilding = async (): Promise<boolean> => {
      const { rows } = await admin.query(
        "select from pg_stat_activity where datname = current_database() and query like 'create index concurrently%'",
      );
      return rows.length > 0;
    };
    await eventually(isBuilding, 10_000);
    await admin.query("insert into things values (2, 'while it is built')");
    await writer.query("commit");
    await writer.end();
    expect([...(await first).applied, ...(await second).applied]).toEqual(["0002_index"]);
    expect(await invalid()).toEqual([]);
  });

  it("that an interrupted build left invalid is built again", async () => {
    await migrate(FIRST);
    await admin.query("insert into things values (1, 'same'), (2, 'same')");
    await expect(admin.query("create unique index concurrently by_note on things (note)")).rejects.toThrow(/by_note/);
    expect(await invalid()).toEqual(["by_note"]);
    await migrate({ ...FIRST, "0002_index": building("things") });
    expect(await invalid()).toEqual([]);
  });

  it("of a partitioned table is built on each partition, and completed by a second run", async () => {
    const parts = run(`create table parts (id int, note text) partition by range (id);
      create table parts_1 partition of parts for values from (1) to (2);
      create table parts_2 partition of parts for values from (2) to (3);
      create index by_note on only parts (note)`);
    await migrate({ "0001_parts": parts });
    expect(await invalid()).toEqual(["by_note"]);
    await migrate({ "0001_parts": parts, "0002_index": building("parts"), "0003_index": building("parts") });
    expect(await invalid()).toEqual([]);
    await admin.query("create table parts_3 partition of parts for values from (3) to (4)");
    const { rows } = await admin.query("select from pg_inherits where inhparent = 'by_note'::regclass");
    expect(rows).toHaveLength(3);
  });
});
