import { measurePattern } from "@routeplane/guardrails";
import { type Kysely, sql } from "kysely";

/** Tables that the conversion reads and writes. Row-level security binds the owner too, and no policy shows it a row. */
const CONVERTED = ["policies", "audit_entries"] as const;

/** Form in which names are compared; `foldName` of packages/domain computes the same. */
const FOLDED_NAME = sql`normalize(lower(upper(normalize(name, NFC) collate "pg_unicode_fast")), NFC)`;

/** Bytes that a rule of a guardrail takes in a list of effective rules besides its own text: those of its source. */
const RULE_BYTES = sql.lit(700);

/**
 * Names of policies are unique in the form in which they are compared. Of policies whose names are equal in it, all but the oldest
 * get their id added to their name.
 *
 * Policies know their size: that of the spec, by which pages are bounded, and that of the guardrail, which is bounded over all that
 * apply to a key.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const guardrail = sql`(case kind when 'guardrail' then spec when 'preset' then spec -> 'guardrail' end)`;
  const count = (list: string) => sql`coalesce(jsonb_array_length(${guardrail} -> ${sql.lit(list)}), 0)`;
  const statements = [
    // Changes are announced at once, not at the commit: a table with pending triggers cannot be altered.
    sql`set constraints all immediate`,
    ...CONVERTED.map((table) => sql`alter table ${sql.table(table)} no force row level security`),
    sql`
      update policies p set name = left(p.name, 60) || ' (' || p.id || ')'
      from (
        select namespace_id, id, row_number() over (partition by namespace_id, ${FOLDED_NAME} order by created_at, id) as place
        from policies
      ) as numbered
      where (numbered.namespace_id, numbered.id) = (p.namespace_id, p.id) and numbered.place > 1`,
    sql`create unique index policies_folded_name on policies (namespace_id, (${FOLDED_NAME}))`,
    sql`alter table policies drop constraint policies_name_key`,
    sql`alter table policies
      add column spec_bytes integer not null generated always as (octet_length(spec::text)) stored,
      add column guardrail_patterns integer not null generated always as (${count("content_patterns")}) stored,
      add column guardrail_bytes integer not null generated always as (
        case when ${guardrail} is null then 0
          else octet_length(${guardrail}::text) + ${RULE_BYTES} * (10 + ${count("content_patterns")} + ${count("model_deny")}) end
      ) stored,
      -- Null in rows of a process of the previous release; they count with the maximum of each pattern.
      add column guardrail_instructions integer check (guardrail_instructions >= 0)`,
    sql`grant update (guardrail_instructions) on policies to routeplane_policy`,
  ];
  for (const statement of statements) await statement.execute(db);
  await measureGuardrails(db);
  for (const table of CONVERTED) await sql`alter table ${sql.table(table)} force row level security`.execute(db);
}

/** Records what the content patterns of each policy compile to. A pattern that does not compile counts as none. */
async function measureGuardrails(db: Kysely<unknown>): Promise<void> {
  const patterns = sql`coalesce(spec -> 'content_patterns', spec -> 'guardrail' -> 'content_patterns', '[]')`;
  const { rows } = await sql<{ readonly pattern: string }>`
    select distinct item ->> 'pattern' as pattern
    from policies cross join lateral jsonb_array_elements(${patterns}) as item`.execute(db);
  const measured = rows.map(({ pattern }) => {
    const instructions = measurePattern(pattern);
    return { pattern, instructions: typeof instructions === "number" ? instructions : 0 };
  });
  await sql`
    with measured as (
      select * from jsonb_to_recordset(${JSON.stringify(measured)}::jsonb) as m (pattern text, instructions integer)
    )
    update policies set guardrail_instructions = (
      select coalesce(sum(m.instructions), 0)
      from jsonb_array_elements(${patterns}) as item join measured m on m.pattern = item ->> 'pattern'
    )`.execute(db);
}
