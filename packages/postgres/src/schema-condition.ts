import { type Component, type Logger, type Readiness, runPeriodically } from "@routeplane/runtime";
import type { Database } from "./database.ts";

const INTERVAL_MS = 1_000;

/**
 * Sets the readiness condition `schema`, which is met from the moment at which the database was first seen migrated: a database
 * that is lost after that is a dependency that is away.
 */
export function setSchemaCondition<Schema>(
  database: Pick<Database<Schema>, "isReachable">,
  readiness: Readiness,
  log: Logger,
): Component {
  const condition = readiness.condition("schema");
  condition.fail("the database has not been seen migrated yet");
  let isMigrated = false;
  return runPeriodically({
    name: "check the schema",
    everyMs: INTERVAL_MS,
    retryMs: INTERVAL_MS,
    log,
    async run() {
      isMigrated ||= await database.isReachable();
      if (isMigrated) condition.pass();
      return false;
    },
  });
}
