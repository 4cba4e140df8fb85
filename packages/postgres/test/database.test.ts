import { newId } from "@routeplane/domain";
import { readMetrics } from "@routeplane/runtime";
import { cloneDatabase, eventually } from "@routeplane/testing";
import { sql } from "kysely";
import pg from "pg";
import { afterAll, describe, expect, it } from "vitest";
import { openDatabase, type Transaction } from "../src/database.ts";
import { andCommit } from "../src/dialect.ts";
import type { Scope } from "../src/scope.ts";

interface AuthTables {
  readonly key_secrets: { namespace_id: string; lookup_id: string; key_id: string };
}

const clone = await cloneDatabase();
/** Pool of one connection, so that all transactions run on the same one. */
const database = openDatabase<AuthTables>({
  url: clone.url("routeplane_auth"),
  schema: "auth",
  applicationName: "postgres-test",
  poolSize: 1,
  keepPlans: true,
});
const admin = new pg.Client({ connectionString: clone.adminUrl });
await admin.connect();
// Schema in which the triggers of the tables find the tables that they write.
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

const first = await filledNamespace();
const second = await filledNamespace();

/** Namespaces of the rows that a query without a filter returns. */
async function visibleNamespaces(tx: Transaction<AuthTables>): Promise<readonly string[]> {
  const rows = await tx.selectFrom("key_secrets").select("namespace_id").execute();
  return rows.map((row) => row.namespace_id);
}

it("counts the connections of all pools of the process, until they end", async () => {
  const open = (poolSize: number) =>
    openDatabase({ url: clone.url("routeplane_auth"), schema: "auth", applicationName: "postgres-test", poolSize });
  const idle = async () => {
    const [, value] = /routeplane_database_connections\{state="idle"\} (\d+)/.exec((await readMetrics()).text) ?? [];
    return Number(value);
  };
  await database.isReachable();
  const one = open(1);
  await one.isReachable();
  const before = await idle();
  const other = open(1);
  await other.isReachable();
  expect(await idle()).toBe(before + 1);
  await Promise.all([one.stop(), other.stop()]);
  expect(await idle()).toBe(before - 1);
});

it("plans a kept statement once if its plan must not depend on the values", async () => {
  const generic = openDatabase<AuthTables>({
    url: clone.url("routeplane_auth"),
    schema: "auth",
    applicationName: "postgres-test",
    poolSize: 1,
    keepPlans: true,
    genericPlans: true,
  });
  for (let run = 0; run < 10; run++) {
    await generic.within({}, (tx) =>
      // Postgres overestimates the number of elements of an unknown array, and therefore plans for each value.
      sql`select k.* from unnest(${["a"]}::text[]) as a (id) cross join lateral (
        select * from key_secrets where lookup_id = a.id for no key update) as k`.execute(tx),
    );
  }
  const { rows } = await generic.within({}, (tx) =>
    sql<{ generic: bigint; custom: bigint }>`
      select generic_plans as generic, custom_plans as custom from pg_prepared_statements
      where statement like '%cross join lateral%'`.execute(tx),
  );
  await generic.stop();
  expect(rows).toEqual([{ generic: 10n, custom: 0n }]);
});

describe("the transactions of one namespace", () => {
  it("leave connections to other namespaces while many of them wait for a lock", async () => {
    const shared = openDatabase<AuthTables>({
      url: clone.url("routeplane_auth"),
      schema: "auth",
      applicationName: "postgres-fairness",
      poolSize: 4,
    });
    const lock = "select pg_advisory_lock(4711)";
    await admin.query(lock);
    const waiting = Array.from({ length: 12 }, () =>
      shared.within(first, (tx) => sql`select pg_advisory_xact_lock(4711)`.execute(tx)),
    );
    try {
      expect(await shared.within(second, visibleNamespaces)).toEqual([second.namespaceId]);
      const read = await shared.read(second, (tx) => tx.selectFrom("key_secrets").select("namespace_id").compile());
      expect(read).toHaveLength(1);
    } finally {
      await admin.query("select pg_advisory_unlock(4711)");
      await Promise.all(waiting);
      await shared.stop();
    }
  });
});

describe("a transaction", () => {
  it("sees its own scope and never that of the previous transaction on its connection", async () => {
    expect(await database.within({ namespaceId: first.namespaceId }, visibleNamespaces)).toEqual([first.namespaceId]);
    expect(await database.within({}, visibleNamespaces)).toEqual([]);
    expect(await database.within({ lookupId: second.lookupId }, visibleNamespaces)).toEqual([second.namespaceId]);
    expect(await database.within({ accountId: first.namespaceId }, visibleNamespaces)).toEqual([]);
  });

  it("that enters another scope sees its rows, and no longer those of the first", async () => {
    await database.within({ lookupId: first.lookupId }, async (tx, enter) => {
      expect(await visibleNamespaces(tx)).toEqual([first.namespaceId]);
      await enter({ namespaceId: second.namespaceId });
      expect(await visibleNamespaces(tx)).toEqual([second.namespaceId]);
      await enter({});
      expect(await visibleNamespaces(tx)).toEqual([]);
    });
    expect(await database.within({}, visibleNamespaces)).toEqual([]);
  });

  it("treats a scope as a value, never as SQL", async () => {
    const hostile = ["' or ''='", "\\'; reset role; --", `${first.namespaceId}'`, "$1", "%s\n'); commit; --", "\u0000"];
    for (const value of hostile) {
      const scopes: Scope[] = [{ namespaceId: value }, { accountId: value }, { lookupId: value }];
      for (const scope of scopes)
        expect(await database.within(scope, visibleNamespaces).catch(() => []), value).toEqual([]);
    }
    expect(await database.within({ namespaceId: first.namespaceId }, visibleNamespaces)).toEqual([first.namespaceId]);
  });

  it("that fails is rolled back, and its connection serves the next", async () => {
    const failing = database.within({ namespaceId: first.namespaceId }, async (tx) => {
      const added = { namespace_id: first.namespaceId, lookup_id: "x", key_id: "none" };
      await sql`update keys set last_used_at = now()`.execute(tx);
      await tx.insertInto("key_secrets").values(added).execute();
    });
    await expect(failing).rejects.toThrow(/null value/);
    const { rows } = await admin.query("select from auth.keys where last_used_at is not null");
    expect(rows).toEqual([]);
    expect(await database.within({ namespaceId: first.namespaceId }, visibleNamespaces)).toEqual([first.namespaceId]);
  });
});

describe("a read", () => {
  const read = (scope: Scope) =>
    database
      .read(scope, (builder) => builder.selectFrom("key_secrets").select("namespace_id").compile())
      .then((rows) => rows.map((row) => row.namespace_id));

  it("sees its own scope and never that of the previous read on its connection, with many at once", async () => {
    const scopes: Scope[] = [{ namespaceId: first.namespaceId }, {}, { lookupId: second.lookupId }, { accountId: "x" }];
    const all = [...scopes, ...scopes, ...scopes];
    const expected = [[first.namespaceId], [], [second.namespaceId], []];
    expect(await Promise.all(all.map(read))).toEqual([...expected, ...expected, ...expected]);
    expect(await database.within({}, visibleNamespaces)).toEqual([]);
  });

  it("treats a scope as a value, never as SQL, and shows no row for an impossible one", async () => {
    for (const value of ["' or ''='", "'); commit; --", "$1", "\u0000"]) {
      expect(await read({ namespaceId: value }).catch(() => []), value).toEqual([]);
    }
    await expect(read({ namespaceId: "\u0000" })).rejects.toThrow();
    expect(await read({ namespaceId: first.namespaceId })).toEqual([first.namespaceId]);
  });

  it("writes nothing, and its connection serves the next if it fails", async () => {
    const scope = { namespaceId: first.namespaceId };
    const writing = database.read(scope, (builder) => sql`update keys set last_used_at = now()`.compile(builder));
    await expect(writing).rejects.toMatchObject({ cause: { message: expect.stringMatching(/read-only transaction/) } });
    const failing = database.read(scope, (builder) => sql`select 1 / (1 - ${1}::int)`.compile(builder));
    await expect(failing).rejects.toThrow(/division by zero/);
    expect(await read(scope)).toEqual([first.namespaceId]);
  });

  it("whose connection breaks fails as an outage, and the next one gets another connection", async () => {
    const broken = database.read({}, (builder) => sql`select pg_sleep(${30})`.compile(builder));
    const other = new pg.Client({ connectionString: clone.adminUrl });
    await other.connect();
    const found = async () => {
      const { rows } = await other.query(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and query like '%pg_sleep($1)'",
      );
      return rows.length > 0;
    };
    await Promise.all([expect(broken).rejects.toMatchObject({ code: "unavailable" }), eventually(found, 4_000)]);
    await other.end();
    expect(await read({ namespaceId: first.namespaceId })).toEqual([first.namespaceId]);
  });
});

describe("a kept plan", () => {
  const everything = (tx: Transaction<AuthTables>) =>
    tx.selectFrom("key_secrets").selectAll().where("lookup_id", "=", first.lookupId).executeTakeFirst();

  it("serves every scope with that scope's rows alone", async () => {
    // More rounds than Postgres makes custom plans for (five).
    for (let round = 0; round < 8; round += 1) {
      const { namespaceId } = round % 2 === 0 ? first : second;
      expect(await database.within({ namespaceId }, everything).then((row) => row?.namespace_id)).toBe(
        namespaceId === first.namespaceId ? namespaceId : undefined,
      );
    }
    const { rows } = await database.within({}, (tx) =>
      sql<{
        plans: bigint;
      }>`select count(*) as plans from pg_prepared_statements where statement like 'select *%'`.execute(tx),
    );
    expect(rows).toEqual([{ plans: 1n }]);
  });

  it("survives a migration that adds a column to a table that it reads", async () => {
    const scope = { namespaceId: first.namespaceId };
    await database.within(scope, everything);
    await admin.query("alter table auth.key_secrets add column note text not null default 'new'");
    expect(await database.within(scope, everything)).toMatchObject({ note: "new" });
  });
});

describe("one of many statements on a connection", () => {
  const LOCK_TIMEOUT_MS = 100;
  const rename = "update auth.namespaces set name = $2 where id = $1";
  const nameOf = async (id: string) =>
    (await admin.query<{ name: string }>("select name from auth.namespaces where id = $1", [id])).rows[0]?.name;
  const each = (...statements: readonly { scope: Scope; text: string; values: readonly unknown[] }[]) =>
    database.each<object>(statements, LOCK_TIMEOUT_MS);

  it("sees and changes the rows of its own scope alone", async () => {
    const text = "update auth.namespaces set name = $1 returning id";
    const renamed = await each(
      { scope: { namespaceId: first.namespaceId }, text, values: ["one"] },
      { scope: {}, text, values: ["none"] },
      { scope: { namespaceId: second.namespaceId }, text, values: ["two"] },
    );
    expect(renamed.map((result) => result.status === "fulfilled" && result.value)).toEqual([
      [{ id: first.namespaceId }],
      [],
      [{ id: second.namespaceId }],
    ]);
    expect([await nameOf(first.namespaceId), await nameOf(second.namespaceId)]).toEqual(["one", "two"]);
  });

  it("that fails changes nothing, and those before and after it are kept", async () => {
    const [before, failing, after] = [await filledNamespace(), await filledNamespace(), await filledNamespace()];
    const results = await each(
      ...[before, failing, after].map(({ namespaceId }) => ({
        scope: { namespaceId },
        text: "update auth.namespaces set name = 'new' where 1 / (case when id = $1 then 0 else 1 end) = 1",
        values: [failing.namespaceId],
      })),
    );
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    const names = [
      await nameOf(before.namespaceId),
      await nameOf(failing.namespaceId),
      await nameOf(after.namespaceId),
    ];
    expect(names).toEqual(["new", "n", "new"]);
    expect(await database.within(first, visibleNamespaces)).toEqual([first.namespaceId]);
  });

  it("waits for a lock no longer than the lock time-out, and the next one is kept", async () => {
    const [locked, free] = [await filledNamespace(), await filledNamespace()];
    await admin.query("begin");
    await admin.query("select from auth.namespaces where id = $1 for update", [locked.namespaceId]);
    try {
      const results = await each(
        ...[locked, free].map(({ namespaceId }) => ({
          scope: { namespaceId },
          text: rename,
          values: [namespaceId, "new"],
        })),
      );
      expect(results).toMatchObject([{ status: "rejected", reason: { code: "55P03" } }, { status: "fulfilled" }]);
    } finally {
      await admin.query("rollback");
    }
    expect([await nameOf(locked.namespaceId), await nameOf(free.namespaceId)]).toEqual(["n", "new"]);
  });

  it("is on the disk once its result is returned", async () => {
    const durable = openDatabase<AuthTables>({
      // Servers of tests do not wait for the disk by default.
      url: `${clone.url("routeplane_auth")}?options=-c%20synchronous_commit%3Don`,
      schema: "auth",
      applicationName: "postgres-test",
      poolSize: 1,
    });
    const { namespaceId } = await filledNamespace();
    const text = "update auth.namespaces set name = $1 returning pg_current_wal_insert_lsn()::text as written";
    const statement = { scope: { namespaceId }, text, values: ["new"] };
    for (let round = 0; round < 5; round++) {
      const results = await durable.each<{ written: string }>([statement, statement], LOCK_TIMEOUT_MS);
      const last = results.at(-1);
      const written = last?.status === "fulfilled" ? last.value[0]?.written : expect.fail("failed");
      const { rows } = await admin.query("select pg_current_wal_flush_lsn() > $1::pg_lsn as is_flushed", [written]);
      expect(rows).toEqual([{ is_flushed: true }]);
    }
    await durable.stop();
  });

  it("fails as an outage if their connection breaks, and the next one gets another connection", async () => {
    const sleep = { scope: {}, text: "select pg_sleep($1::int)", values: [30] };
    const broken = each(sleep, sleep);
    const found = async () => {
      const { rows } = await admin.query(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and query like '%pg_sleep($1::int)' and pid <> pg_backend_pid()",
      );
      return rows.length > 0;
    };
    await Promise.all([expect(broken).rejects.toMatchObject({ code: "unavailable" }), eventually(found, 4_000)]);
    expect(await database.within(first, visibleNamespaces)).toEqual([first.namespaceId]);
  });
});

describe("a statement that commits its transaction", () => {
  const rename = (id: string, name: string) => sql`update auth.namespaces set name = ${name} where id = ${id}`;
  const nameOf = async (id: string) =>
    (await admin.query<{ name: string }>("select name from auth.namespaces where id = $1", [id])).rows[0]?.name;

  it("keeps what was written with it and before it", async () => {
    const { namespaceId } = await filledNamespace();
    await database.within({ namespaceId }, async (tx) => {
      await rename(namespaceId, "before").execute(tx);
      await andCommit(sql`update auth.namespaces set name = name || ' it' where id = ${namespaceId}`).execute(tx);
    });
    expect(await nameOf(namespaceId)).toBe("before it");
  });

  it("that fails changes nothing, and its connection serves the next", async () => {
    const { namespaceId } = await filledNamespace();
    const failing = database.within({ namespaceId }, async (tx) => {
      await rename(namespaceId, "before").execute(tx);
      await andCommit(sql`select 1 / (length(${namespaceId}) - length(${namespaceId}))`).execute(tx);
    });
    await expect(failing).rejects.toThrow(/division by zero/);
    expect(await nameOf(namespaceId)).toBe("n");
    expect(await database.within(first, visibleNamespaces)).toEqual([first.namespaceId]);
  });

  it("must be the last one: a statement after it is not sent", async () => {
    const { namespaceId } = await filledNamespace();
    const going = database.within({ namespaceId }, async (tx) => {
      await andCommit(rename(namespaceId, "committed")).execute(tx);
      await rename(namespaceId, "after").execute(tx);
    });
    await expect(going).rejects.toThrow(/follows the one that committed/);
    expect(await nameOf(namespaceId)).toBe("committed");
    expect(await database.within(first, visibleNamespaces)).toEqual([first.namespaceId]);
  });

  it("may be the first and only one, also with a scope that shows nothing", async () => {
    const { namespaceId } = await filledNamespace();
    await database.within({ namespaceId }, (tx) => andCommit(rename(namespaceId, "only")).execute(tx));
    expect(await nameOf(namespaceId)).toBe("only");
    await database.within({ namespaceId: newId("ns") }, (tx) => andCommit(rename(namespaceId, "foreign")).execute(tx));
    expect(await nameOf(namespaceId)).toBe("only");
  });
});

it("whose connection breaks between two queries fails as an outage, and the next one gets another connection", async () => {
  const broken = database.within({ namespaceId: first.namespaceId }, async (tx) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
    await admin.query("select pg_terminate_backend($1, 5000)", [rows[0]?.pid]);
    // No query is running when the server reports the end of the connection.
    await new Promise((resolve) => setImmediate(resolve));
    return visibleNamespaces(tx);
  });
  await expect(broken).rejects.toMatchObject({ code: "unavailable" });
  expect(await database.within({ namespaceId: first.namespaceId }, visibleNamespaces)).toEqual([first.namespaceId]);
});

it("fails as an outage on a server that accepts no writes, as a standby or one with a full disk", async () => {
  const written = database.within({ namespaceId: first.namespaceId }, async (tx) => {
    await sql`set transaction read only`.execute(tx);
    await tx.updateTable("key_secrets").set({ key_id: "k" }).execute();
  });
  await expect(written).rejects.toMatchObject({ name: "DomainError", code: "unavailable" });
});
