import { newId } from "@routeplane/domain";
import { cloneDatabase, eventually } from "@routeplane/testing";
import { sql } from "kysely";
import pg from "pg";
import { afterAll, describe, expect, it } from "vitest";
import { openDatabase, type Scope, type Transaction } from "../src/database.ts";

interface AuthTables {
  readonly key_secrets: { namespace_id: string; lookup_id: string; key_id: string };
}

const clone = await cloneDatabase();
/** One connection, so that each transaction gets what the one before left behind. */
const database = openDatabase<AuthTables>({
  url: clone.url("routeplane_auth"),
  schema: "auth",
  applicationName: "postgres-test",
  maxConnections: 1,
  keepPlans: true,
});
const admin = new pg.Client({ connectionString: clone.adminUrl });
await admin.connect();
// Where the triggers of the tables find what they write.
await admin.query("set search_path = auth");
afterAll(async () => {
  await Promise.all([admin.end(), database.stop()]);
  await clone.drop();
});

interface Secret {
  readonly namespaceId: string;
  readonly lookupId: string;
}

/** A namespace with one secret in it. */
async function filledNamespace(): Promise<Secret> {
  const [accountId, namespaceId, keyId, lookupId] = [newId("acc"), newId("ns"), newId("key"), newId("req")];
  await admin.query("insert into auth.accounts values ($1, $1, now())", [accountId]);
  await admin.query("insert into auth.namespaces (id, account_id, name, created_at) values ($1, $2, 'n', now())", [
    namespaceId,
    accountId,
  ]);
  const key = "insert into auth.keys (namespace_id, id, name, prefix, scopes, lineage, created_at)";
  await admin.query(`${key} values ($1, $2, 'k', 'rp', '{a}', array[$2], now())`, [namespaceId, keyId]);
  const secret = "insert into auth.key_secrets (namespace_id, lookup_id, key_id, secret_hash, pepper_id)";
  await admin.query(`${secret} values ($1, $2, $3, $4, 'p')`, [namespaceId, lookupId, keyId, Buffer.alloc(32)]);
  return { namespaceId, lookupId };
}

const mine = await filledNamespace();
const theirs = await filledNamespace();

/** What a query without any filter sees. */
async function seen(tx: Transaction<AuthTables>): Promise<readonly string[]> {
  const rows = await tx.selectFrom("key_secrets").select("namespace_id").execute();
  return rows.map((row) => row.namespace_id);
}

describe("the transactions of one namespace", () => {
  it("leave connections to others, however many of them wait for a lock", async () => {
    const shared = openDatabase<AuthTables>({
      url: clone.url("routeplane_auth"),
      schema: "auth",
      applicationName: "postgres-fairness",
      maxConnections: 4,
    });
    const lock = "select pg_advisory_lock(4711)";
    await admin.query(lock);
    const waiting = Array.from({ length: 12 }, () =>
      shared.within(mine, (tx) => sql`select pg_advisory_xact_lock(4711)`.execute(tx)),
    );
    try {
      expect(await shared.within(theirs, seen)).toEqual([theirs.namespaceId]);
      const read = await shared.read(theirs, (tx) => tx.selectFrom("key_secrets").select("namespace_id").compile());
      expect(read).toHaveLength(1);
    } finally {
      await admin.query("select pg_advisory_unlock(4711)");
      await Promise.all(waiting);
      await shared.stop();
    }
  });
});

describe("a transaction", () => {
  it("sees its own scope and never that of the one before on its connection", async () => {
    expect(await database.within({ namespaceId: mine.namespaceId }, seen)).toEqual([mine.namespaceId]);
    expect(await database.within({}, seen)).toEqual([]);
    expect(await database.within({ lookupId: theirs.lookupId }, seen)).toEqual([theirs.namespaceId]);
    expect(await database.within({ accountId: mine.namespaceId }, seen)).toEqual([]);
  });

  it("that enters another scope sees that one, and the first no longer", async () => {
    await database.within({ lookupId: mine.lookupId }, async (tx, enter) => {
      expect(await seen(tx)).toEqual([mine.namespaceId]);
      await enter({ namespaceId: theirs.namespaceId });
      expect(await seen(tx)).toEqual([theirs.namespaceId]);
      await enter({});
      expect(await seen(tx)).toEqual([]);
    });
    expect(await database.within({}, seen)).toEqual([]);
  });

  it("takes a scope for a value, whatever it holds", async () => {
    const hostile = ["' or ''='", "\\'; reset role; --", `${mine.namespaceId}'`, "$1", "%s\n'); commit; --", "\u0000"];
    for (const value of hostile) {
      const scopes: Scope[] = [{ namespaceId: value }, { accountId: value }, { lookupId: value }];
      for (const scope of scopes) expect(await database.within(scope, seen).catch(() => []), value).toEqual([]);
    }
    expect(await database.within({ namespaceId: mine.namespaceId }, seen)).toEqual([mine.namespaceId]);
  });

  it("that fails is undone, and its connection serves the next", async () => {
    const failing = database.within({ namespaceId: mine.namespaceId }, async (tx) => {
      const added = { namespace_id: mine.namespaceId, lookup_id: "x", key_id: "none" };
      await sql`update keys set last_used_at = now()`.execute(tx);
      await tx.insertInto("key_secrets").values(added).execute();
    });
    await expect(failing).rejects.toThrow(/null value/);
    const { rows } = await admin.query("select from auth.keys where last_used_at is not null");
    expect(rows).toEqual([]);
    expect(await database.within({ namespaceId: mine.namespaceId }, seen)).toEqual([mine.namespaceId]);
  });
});

describe("a statement that is read alone", () => {
  const read = (scope: Scope) =>
    database
      .read(scope, (builder) => builder.selectFrom("key_secrets").select("namespace_id").compile())
      .then((rows) => rows.map((row) => row.namespace_id));

  it("sees its own scope and never that of the one before on its connection, in whatever number", async () => {
    const scopes: Scope[] = [{ namespaceId: mine.namespaceId }, {}, { lookupId: theirs.lookupId }, { accountId: "x" }];
    const all = [...scopes, ...scopes, ...scopes];
    const expected = [[mine.namespaceId], [], [theirs.namespaceId], []];
    expect(await Promise.all(all.map(read))).toEqual([...expected, ...expected, ...expected]);
    expect(await database.within({}, seen)).toEqual([]);
  });

  it("takes a scope for a value, whatever it holds, and shows nothing if that is none", async () => {
    for (const value of ["' or ''='", "'); commit; --", "$1", "\u0000"]) {
      expect(await read({ namespaceId: value }).catch(() => []), value).toEqual([]);
    }
    await expect(read({ namespaceId: "\u0000" })).rejects.toThrow();
    expect(await read({ namespaceId: mine.namespaceId })).toEqual([mine.namespaceId]);
  });

  it("writes nothing, and its connection serves the next if it fails", async () => {
    const scope = { namespaceId: mine.namespaceId };
    const writing = database.read(scope, (builder) => sql`update keys set last_used_at = now()`.compile(builder));
    await expect(writing).rejects.toThrow(/read-only transaction/);
    const failing = database.read(scope, (builder) => sql`select 1 / (1 - ${1}::int)`.compile(builder));
    await expect(failing).rejects.toThrow(/division by zero/);
    expect(await read(scope)).toEqual([mine.namespaceId]);
  });

  it("whose connection breaks fails as an outage, and the next one gets another connection", async () => {
    const broken = database.read({}, (builder) => sql`select pg_sleep(${30})`.compile(builder));
    const other = new pg.Client({ connectionString: clone.adminUrl });
    await other.connect();
    const found = async () => {
      const { rows } = await other.query(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where query like '%pg_sleep($1)'",
      );
      return rows.length > 0;
    };
    await Promise.all([expect(broken).rejects.toMatchObject({ code: "unavailable" }), eventually(found, 4_000)]);
    await other.end();
    expect(await read({ namespaceId: mine.namespaceId })).toEqual([mine.namespaceId]);
  });
});

describe("a kept plan", () => {
  const everything = (tx: Transaction<AuthTables>) =>
    tx.selectFrom("key_secrets").selectAll().where("lookup_id", "=", mine.lookupId).executeTakeFirst();

  it("serves every scope with that scope's rows alone", async () => {
    // More often than Postgres makes plans for single values (five times).
    for (let round = 0; round < 8; round += 1) {
      const { namespaceId } = round % 2 === 0 ? mine : theirs;
      expect(await database.within({ namespaceId }, everything).then((row) => row?.namespace_id)).toBe(
        namespaceId === mine.namespaceId ? namespaceId : undefined,
      );
    }
    const { rows } = await database.within({}, (tx) =>
      sql<{
        plans: bigint;
      }>`select count(*) as plans from pg_prepared_statements where statement like 'select *%'`.execute(tx),
    );
    expect(rows).toEqual([{ plans: 1n }]);
  });

  it("survives a migration that adds a column to what it reads", async () => {
    const scope = { namespaceId: mine.namespaceId };
    await database.within(scope, everything);
    await admin.query("alter table auth.key_secrets add column note text not null default 'new'");
    expect(await database.within(scope, everything)).toMatchObject({ note: "new" });
  });
});

it("whose connection breaks between two queries fails as an outage, and the next one gets another connection", async () => {
  const broken = database.within({ namespaceId: mine.namespaceId }, async (tx) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
    await admin.query("select pg_terminate_backend($1, 5000)", [rows[0]?.pid]);
    // Nobody waits for a query when the server says that it is over.
    await new Promise((resolve) => setImmediate(resolve));
    return seen(tx);
  });
  await expect(broken).rejects.toMatchObject({ code: "unavailable" });
  expect(await database.within({ namespaceId: mine.namespaceId }, seen)).toEqual([mine.namespaceId]);
});
