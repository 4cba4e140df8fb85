/** Table in which Kysely records the names of applied migrations, in the schema that they made. */
export const MIGRATION_TABLE = "kysely_migration";

/**
 * State of a schema for one build: `current` if exactly the migrations are applied that the build knows, `newer` if others are
 * too, `older` if one that the build knows is missing.
 */
export type SchemaState = "current" | "newer" | "older";

/** Comparison, by name, of the migrations that a build knows with those that are applied to a schema. */
export interface SchemaComparison {
  readonly state: SchemaState;
  /** Names that the build knows and that are not applied, in their order. */
  readonly missing: readonly string[];
  /** Names that are applied and that the build does not know, in their order. */
  readonly unknown: readonly string[];
}

/**
 * Compares migrations by name only: migrations are expand-only, so a build runs on every schema that has all of its own.
 *
 * @param applied names in the migration table; undefined if the table does not exist or may not be read, because no migration of this build
 *   or a later one has run
 */
export function compareSchema(known: readonly string[], applied: readonly string[] | undefined): SchemaComparison {
  const missing = known.filter((name) => !applied?.includes(name)).toSorted();
  const unknown = (applied ?? []).filter((name) => !known.includes(name)).toSorted();
  const isOlder = missing.length > 0 || applied === undefined || applied.length === 0;
  return { state: isOlder ? "older" : unknown.length > 0 ? "newer" : "current", missing, unknown };
}
