/** A statement of a migration that breaks a rule. */
export interface MigrationFault {
  readonly rule: keyof typeof RULES;
  /** Beginning of the statement. */
  readonly statement: string;
}

/** Rules on migrations, each with its requirement. Migrations are expand-only, because the previous release runs at the same time. */
export const RULES = {
  drop: "drops nothing that the previous release uses: leave it, and drop it in a later release that lists it as unused",
  rename: "renames nothing: add the new name, write both, and drop the old one in a later release",
  type: "changes no type: add a column of the new type",
  "not-null":
    "adds no column that must be set without a default, and makes none mandatory: the previous release does not set it",
  constraint: "adds no constraint to a table that exists: the previous release may write what it forbids",
  revoke: "takes no privilege from a process of the previous release",
  index: "builds an index of a table that exists by buildIndex, in a migration with isConcurrent",
} as const;

/** Faults of the SQL statements of one migration, in their order. */
export function migrationFaults(statements: readonly string[]): readonly MigrationFault[] {
  const texts = statements.flatMap((statement) => withoutLiterals(statement).split(";"));
  const made = new Set<string>();
  const faults: MigrationFault[] = [];
  for (const text of texts.map((part) => part.replaceAll(/\s+/g, " ").trim().toLowerCase())) {
    for (const rule of brokenRules(text, made)) faults.push({ rule, statement: text.slice(0, 100) });
    const [, name] = CREATED.exec(text) ?? [];
    if (name !== undefined) made.add(name);
  }
  return faults;
}

const NAME = String.raw`(?:if (?:not )?exists )?(?:only )?"?(?:\w+"?\."?)?(\w+)"?`;
const CREATED = new RegExp(
  String.raw`^create (?:or replace )?(?:unlogged )?(?:table|view|function|trigger|policy|type|sequence) ${NAME}`,
);
const TABLE = new RegExp(String.raw`^alter table ${NAME}`);
const DROPPED = new RegExp(
  String.raw`^drop (?:table|view|materialized view|function|procedure|type|sequence|schema|domain|trigger|policy) ${NAME}`,
);
const INDEXED = new RegExp(String.raw`^create (?:unique )?index (?:(concurrently) )?.*?\bon ${NAME}`);

function brokenRules(text: string, made: ReadonlySet<string>): readonly (keyof typeof RULES)[] {
  const [, dropped] = DROPPED.exec(text) ?? [];
  if (dropped !== undefined) return made.has(dropped) ? [] : ["drop"];
  if (/^(?:truncate|drop (?:owned|role))\b/.test(text)) return ["drop"];
  if (/^drop index (?!concurrently)/.test(text)) return ["index"];
  if (/^revoke\b/.test(text)) return /^revoke all on function \S+(?:\(.*\))? from public$/.test(text) ? [] : ["revoke"];
  const [, concurrently, indexed] = INDEXED.exec(text) ?? [];
  if (indexed !== undefined) return concurrently !== undefined || made.has(indexed) ? [] : ["index"];
  if (/^alter \w+ .*\brename\b/.test(text)) return ["rename"];
  const [, table] = TABLE.exec(text) ?? [];
  if (table === undefined || made.has(table)) return [];
  return actionsOf(text).flatMap(brokenByAction);
}

/** Actions of an ALTER TABLE, split at commas outside of parentheses. */
function actionsOf(text: string): readonly string[] {
  let depth = 0;
  let action = "";
  const actions: string[] = [];
  for (const character of text.replace(TABLE, "")) {
    if (character === "(") depth += 1;
    if (character === ")") depth -= 1;
    if (character === "," && depth === 0) {
      actions.push(action.trim());
      action = "";
    } else action += character;
  }
  return [...actions, action.trim()];
}

function brokenByAction(action: string): readonly (keyof typeof RULES)[] {
  if (/^drop (?:column )?(?!constraint|not null|default|expression|identity)/.test(action)) return ["drop"];
  if (/^alter (?:column )?\S+ (?:drop default|drop identity|drop expression)/.test(action)) return ["not-null"];
  if (/^alter (?:column )?\S+ (?:set data )?type\b/.test(action)) return ["type"];
  if (/^alter (?:column )?\S+ set not null/.test(action)) return ["not-null"];
  if (/^add (?:constraint|check|unique|primary key|foreign key|exclude)\b/.test(action)) return ["constraint"];
  if (/^add\b/.test(action)) {
    const isSet = /\b(?:default|generated)\b/.test(action);
    return [
      ...(/\bnot null\b/.test(action) && !isSet ? (["not-null"] as const) : []),
      ...(/\b(?:unique|primary key)\b/.test(action) ? (["index"] as const) : []),
    ];
  }
  return [];
}

/**
 * Text without comments, string literals and bodies of functions. The body of a DO block is kept, split at its keywords and quotes, because
 * its statements, and those that it composes from texts, run in the migration.
 */
function withoutLiterals(statement: string): string {
  const text = statement.replaceAll(/--[^\n]*/g, " ").replaceAll(/\/\*[\s\S]*?\*\//g, " ");
  if (/^\s*do\b/i.test(text)) return text.replaceAll(/\$\w*\$|'|\b(?:begin|then|else|loop)\b/gi, ";");
  return text.replaceAll(/\$(\w*)\$[\s\S]*?\$\1\$/g, "''").replaceAll(/'(?:[^']|'')*'/g, "''");
}
