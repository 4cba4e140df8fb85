import { type Database, openDatabase } from "@routeplane/postgres";
import { cloneDatabase, type TestDatabase } from "@routeplane/testing";
import type { RequestLog, UsageStore } from "../src/domain/ports.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import type { UsageSchema } from "../src/store/schema.ts";
import { createUsageStore } from "../src/store/usage-store.ts";

/** A database of the usage service for one test file: connections and stores under both of its roles. */
export interface UsageDatabase {
  readonly clone: TestDatabase;
  /** Connection of the query API. */
  readonly query: Database<UsageSchema>;
  readonly aggregator: Database<UsageSchema>;
  readonly log: RequestLog;
  readonly usage: UsageStore;
  readonly stop: () => Promise<void>;
}

export async function startUsageDatabase(): Promise<UsageDatabase> {
  const clone = await cloneDatabase();
  const query = openUsageDatabase(clone.url("routeplane_usage"));
  const aggregator = openUsageDatabase(clone.url("routeplane_aggregator"));
  return {
    clone,
    query,
    aggregator,
    log: createRequestLog(aggregator),
    usage: createUsageStore(query),
    async stop() {
      await Promise.all([query.stop(), aggregator.stop()]);
      await clone.drop();
    },
  };
}

export function openUsageDatabase(url: string): Database<UsageSchema> {
  return openDatabase<UsageSchema>({ url, schema: "usage", applicationName: "test" });
}
