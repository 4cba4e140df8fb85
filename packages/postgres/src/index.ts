export { buildIndex, type IndexPlan } from "./build-index.ts";
export { andCommit } from "./dialect.ts";
export { announceChanges, changeCounter } from "./change-schema.ts";
export { type DatabaseConfig, readDatabaseConfig } from "./config.ts";
export {
  type Database,
  type DatabaseOptions,
  type Enter,
  openDatabase,
  type ScopedStatement,
  type Transaction,
} from "./database.ts";
export { isDataFault, isForeignKeyViolation, isLockFailure, isUniqueViolation } from "./errors.ts";
export { type ChangeListener, subscribeToChanges, type SubscribeToChangesOptions } from "./subscribe-to-changes.ts";
export { isMigrated, type MigratedOptions } from "./is-migrated.ts";
export { lockTables } from "./lock-tables.ts";
export { listen, type ListenConnection, type ListenOptions } from "./listen.ts";
export {
  migrateFromEnvironment,
  migrateToLatest,
  type MigrationOptions,
  type MigrationResult,
  type Migrations,
  type SchemaMigration,
} from "./migrate.ts";
export { type DatabasePlan, databasePlan, databaseUrl, type RoleName, provision, roleSettings } from "./provision.ts";
export { type Scope } from "./scope.ts";
export { setSchemaCondition } from "./schema-condition.ts";
export { type SchemaComparison, type SchemaState } from "./schema-state.ts";
export { isolateBy, openToNode } from "./row-level-security.ts";
