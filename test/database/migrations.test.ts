import { readdir } from "node:fs/promises";
import { migrations as auth } from "../../services/auth/migrations/index.ts";
import { migrations as policy } from "../../services/policy/migrations/index.ts";
import type { SchemaMigration } from "@routeplane/postgres";
import { migrations as usage } from "../../services/usage/migrations/index.ts";
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from "kysely";
import { describe, expect, it } from "vitest";
import { migrationFaults, RULES } from "./migration-rules.ts";

const SCHEMAS = { auth, policy, usage };

/**
 * Newest migration of each schema from before the first release. No release ran at the same time: the processes of a node were stopped
 * while they were applied.
 */
const BEFORE_THE_FIRST_RELEASE = {
  auth: "0010_revoked_keys",
  policy: "0011_names_and_sizes",
  usage: "0019_exact_sums",
};

/** Reasons that only apply to migrations from before the first release. */
const UNRELEASED = {
  lock: "before the first release: the index was built with the processes stopped",
  change: "before the first release: processes from before it were stopped, and those after it know no other form",
} as const;

/**
 * Faults that were found to be harmless, as `<schema>/<migration> <rule>`, each with the reason why the previous release can run at the
 * same time, or why it never had to.
 */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  "auth/0003_key_lifecycle constraint": "the check is of a column that the same statement adds",
  "auth/0003_key_lifecycle index": UNRELEASED.lock,
  "auth/0004_namespace_lifecycle index": UNRELEASED.lock,
  "auth/0006_operators constraint": UNRELEASED.change,
  "auth/0006_operators drop": UNRELEASED.change,
  "auth/0006_operators index": UNRELEASED.lock,
  "auth/0006_operators not-null": UNRELEASED.change,
  "auth/0008_audit_order index": UNRELEASED.lock,
  "policy/0003_policy_kinds constraint": "the check and the foreign keys allow all that the former ones did, and more",
  "policy/0003_policy_kinds drop": "the trigger is made again at once, in the same transaction",
  "policy/0003_policy_kinds index": UNRELEASED.lock,
  "policy/0005_operator_audit index": UNRELEASED.lock,
  "policy/0006_counters constraint": UNRELEASED.change,
  "policy/0006_counters drop": UNRELEASED.change,
  "policy/0006_counters not-null": UNRELEASED.change,
  "policy/0006_counters rename": UNRELEASED.change,
  "policy/0008_idempotency_keys index": UNRELEASED.lock,
  "policy/0011_names_and_sizes index": UNRELEASED.lock,
  "usage/0002_denied_policy_collation type": UNRELEASED.change,
  "usage/0005_unknown constraint": "the check allows all that the former one did, and one status more",
  "usage/0005_unknown index": UNRELEASED.lock,
  "usage/0006_request_indexes index": UNRELEASED.lock,
  "usage/0007_operators index": UNRELEASED.lock,
  "usage/0009_ended index": UNRELEASED.lock,
  "usage/0012_receipt constraint": "the checks are of columns that the same statement adds",
  "usage/0015_unlogged_denials index": UNRELEASED.lock,
  "usage/0019_exact_sums type": UNRELEASED.change,
  "policy/0012_hold_partitions rename":
    "in the same transaction `holds` is a table again, with the same columns, keys and grants, and the renamed one its partition",
  "policy/0012_hold_partitions drop":
    "the policies of a partition, which is reached through its parent, whose policies apply",
  "policy/0012_hold_partitions revoke": "privileges on a partition, whose parent has them",
  "usage/0024_sum_partitions rename": "as of policy/0012_hold_partitions, of four tables",
  "usage/0024_sum_partitions drop": "the policies of partitions, as of policy/0012_hold_partitions",
  "usage/0024_sum_partitions revoke": "privileges on partitions, whose parents have them",
};

/** SQL of a migration, which runs against no database: every query returns no row. */
async function statementsOf(migration: SchemaMigration): Promise<readonly string[]> {
  const statements: string[] = [];
  const db = new Kysely<unknown>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (of) => new PostgresIntrospector(of),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
    log: ({ query }) => void statements.push(query.sql),
  });
  await migration.up(db);
  return statements;
}

async function faultsOf(
  schema: keyof typeof SCHEMAS,
  isCovered: (name: string) => boolean,
): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const [name, migration] of Object.entries(SCHEMAS[schema])) {
    if (!isCovered(name)) continue;
    for (const { rule, statement } of migrationFaults(await statementsOf(migration)))
      faults.push(`${schema}/${name} ${rule}: "${statement}" ${RULES[rule]}`);
  }
  return faults;
}

const keyOf = (fault: string): string => fault.split(":")[0] ?? "";

describe("the migrations", () => {
  it("of a service are the files of its folder, which tell `npm start` whether to migrate", async () => {
    for (const [schema, migrations] of Object.entries(SCHEMAS)) {
      const files = await readdir(new URL(`../../services/${schema}/migrations`, import.meta.url));
      const names = Object.keys(migrations).map((name) => `${name}.ts`);
      expect(files.filter((file) => file !== "index.ts").toSorted()).toEqual(names.toSorted());
    }
  });

  it("let the previous release run at the same time, except for listed ones with a reason", async () => {
    const schemas = ["auth", "policy", "usage"] as const;
    const faults = (await Promise.all(schemas.map((schema) => faultsOf(schema, () => true)))).flat();
    expect(faults.filter((fault) => !Object.hasOwn(EXCEPTIONS, keyOf(fault)))).toEqual([]);
    const used = new Set(faults.map(keyOf));
    expect(
      Object.keys(EXCEPTIONS).filter((key) => !used.has(key)),
      "exceptions without a fault",
    ).toEqual([]);
  });

  it("after the first release have reasons of their own", () => {
    const unreleased: ReadonlySet<string> = new Set(Object.values(UNRELEASED));
    const later = Object.entries(EXCEPTIONS).filter(([key, reason]) => {
      const [schema = "", name = ""] = key.split(/[/ ]/);
      return unreleased.has(reason) && name > BEFORE_THE_FIRST_RELEASE[schema as keyof typeof SCHEMAS];
    });
    expect(later).toEqual([]);
  });

  it("of the past that did more than add are found by the rules", async () => {
    const rules = (faults: readonly string[]): readonly string[] => [...new Set(faults.map(keyOf))];
    expect(rules(await faultsOf("usage", (name) => name === "0002_denied_policy_collation"))).toEqual([
      "usage/0002_denied_policy_collation type",
    ]);
    expect(rules(await faultsOf("policy", (name) => name === "0003_policy_kinds")).length).toBeGreaterThan(0);
  });
});

describe("the rules", () => {
  it.each([
    ["drop", "drop table policies"],
    ["drop", "alter table policies drop column name"],
    ["drop", "alter table policies add column a int, drop column if exists b cascade"],
    ["drop", "drop function if exists announce_change()"],
    ["drop", "truncate policies"],
    ["drop", "do $$ begin drop table policies; end $$"],
    ["drop", "do $$ begin if true then execute 'drop table policies'; end if; end $$"],
    ["rename", "alter table policies rename column name to label"],
    ["rename", "alter table policies rename to rules"],
    ["type", "alter table requests alter column cost type numeric"],
    ["type", "ALTER TABLE only usage.requests ALTER cost SET DATA TYPE numeric"],
    ["not-null", "alter table keys add column region text not null"],
    ["not-null", "alter table keys alter column name set not null"],
    ["not-null", "alter table keys alter column name drop default"],
    ["constraint", "alter table keys add constraint named check (name <> '')"],
    ["constraint", "alter table keys add foreign key (a) references b (a)"],
    ["index", "create index by_name on keys (name)"],
    ["index", "create unique index if not exists by_name on only auth.keys (name)"],
    ["index", "alter table keys add column code text unique"],
    ["index", "drop index by_name"],
    ["revoke", "revoke select on keys from routeplane_auth"],
  ])("refuse (%s) %s", (rule, statement) => {
    expect(migrationFaults([statement]).map((fault) => fault.rule)).toEqual([rule]);
  });

  it.each([
    [
      "create table a (id int not null unique, check (id > 0)); create index by_id on a (id); alter table a add constraint c check (id > 1)",
    ],
    ["alter table keys add column region text not null default 'drop table keys'"],
    ["alter table keys add column region text"],
    ["alter table keys alter column name drop not null"],
    ["alter table keys drop constraint named"],
    ["create index concurrently by_name on keys (name)"],
    ["drop index concurrently by_name"],
    ["create function f() returns trigger language plpgsql as $$ begin delete from a; drop table b; end $$"],
    ["revoke all on function f() from public"],
    ["-- drop table keys\nselect 1"],
    ["create table a (id int); drop table a"],
  ])("allow %s", (statement) => {
    expect(migrationFaults([statement])).toEqual([]);
  });
});
