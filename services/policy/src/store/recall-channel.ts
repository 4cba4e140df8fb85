import { type Id, parseId } from "@routeplane/domain";
import type { Database } from "@routeplane/postgres";
import { sql } from "kysely";
import type { AnnounceRecall } from "../domain/admission/recalls.ts";
import type { PolicySchema } from "./schema.ts";

/** Channel on which recalls are announced to every process of the service. */
export const RECALL_CHANNEL = "policy_recalls";

/** Number of binding ids that fit into a notification, whose size Postgres bounds. */
const IDS_SIZE = 200;

export function createAnnounceRecall(database: Database<PolicySchema>): AnnounceRecall {
  return (bindingIds) =>
    database.within({}, async (tx) => {
      for (let first = 0; first < bindingIds.length; first += IDS_SIZE) {
        const payload = bindingIds.slice(first, first + IDS_SIZE).join(" ");
        await sql`select pg_notify(${RECALL_CHANNEL}, ${payload})`.execute(tx);
      }
    });
}

/** Binding ids of a notification. */
export function parseRecall(payload: string): readonly Id<"bnd">[] {
  return payload.split(" ").flatMap((text) => parseId("bnd", text) ?? []);
}
