import { DomainError } from "@routeplane/domain";
import { type Component, type Logger, type Readiness, runPeriodically } from "@routeplane/runtime";
import type { Database } from "./database.ts";
import { ConnectionRefusal } from "./errors.ts";
import type { SchemaComparison } from "./schema-state.ts";

const INTERVAL_MS = 1_000;
/** Number of intervals between two checks of a good schema, which changes only when a release is rolled out or back. */
const GOOD_INTERVALS = 5;

/**
 * Sets the readiness condition `schema`: met while the schema has every migration that this build knows. While the database does not
 * answer, the last state counts: a database that is lost later is reported as a dependency. Logs each change of the state, and the reason
 * if the server refuses connections.
 */
export function setSchemaCondition<Schema>(
  database: Pick<Database<Schema>, "schemaState">,
  readiness: Readiness,
  log: Logger,
): Component {
  const condition = readiness.condition("schema");
  condition.fail("the schema could not be read yet");
  let reported = "";
  let intervalsLeft = 0;
  const report = (comparison: SchemaComparison): void => {
    const { state, missing, unknown } = comparison;
    if (state === "older") condition.fail(`not applied: ${missing.join(", ") || "every migration"}`);
    else condition.pass();
    intervalsLeft = state === "older" ? 0 : GOOD_INTERVALS;
    const text = JSON.stringify(comparison);
    if (text === reported) return;
    reported = text;
    if (state === "older" && unknown.length > 0)
      log.error(
        { missing, unknown },
        "schema has other migrations than this build: not ready until a build with all of them runs",
      );
    else if (state === "older")
      log.error({ missing }, "schema is older than this build: not ready until its migrations have run");
    else if (state === "newer") log.info({ unknown }, "schema is newer than this build");
    else log.info("schema is up to date");
  };
  let refused = "";
  const reportRefusal = (error: unknown): void => {
    const refusal = error instanceof DomainError ? error.cause : undefined;
    if (!(refusal instanceof ConnectionRefusal) || refusal.message === refused) return;
    refused = refusal.message;
    log.error(refused);
  };
  return runPeriodically({
    name: "check the schema",
    everyMs: INTERVAL_MS,
    retryMs: INTERVAL_MS,
    log,
    async run() {
      if (--intervalsLeft > 0) return false;
      try {
        report(await database.schemaState());
        refused = "";
      } catch (error) {
        reportRefusal(error);
      }
      return false;
    },
  });
}
