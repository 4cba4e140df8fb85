import type { Database } from "@routeplane/postgres";
import { sql } from "kysely";
import type { SessionStore } from "../domain/sessions/ports.ts";
import type { SessionState } from "../domain/sessions/session.ts";
import type { PolicySchema } from "./schema.ts";

/** Creates the store of gateway sessions. Its transactions see no namespace. */
export function createSessionStore(database: Database<PolicySchema>): SessionStore {
  return {
    renew: (renewal, decide) =>
      database.within({}, async (tx): Promise<SessionState> => {
        const { sessionId: id, renewal: number, nonce, gateway } = renewal;
        if (number === 1n) {
          const { numInsertedOrUpdatedRows: opened } = await tx
            .insertInto("gateway_sessions")
            .values({ id, state: "open", renewal: number, nonce, gateway })
            .onConflict((conflict) => conflict.doNothing())
            .executeTakeFirstOrThrow();
          if (opened === 1n) return "open";
        }
        const row = await tx
          .selectFrom("gateway_sessions")
          .select(["state", "renewal", "nonce", "left_at"])
          .where("id", "=", id)
          .forUpdate()
          .executeTakeFirst();
        if (row === undefined) return "ended";
        const effect = decide({ ...row, isLeft: row.left_at !== null }, renewal);
        if (effect === "repeat") return "open";
        if (effect === "refuse") return row.state === "open" ? "ended" : row.state;
        const change =
          effect === "renew"
            ? { renewal: number, nonce, renewed_at: sql<Date>`clock_timestamp()` }
            : { left_at: sql<Date>`clock_timestamp()` };
        await tx.updateTable("gateway_sessions").set(change).where("id", "=", id).execute();
        return effect === "renew" ? "open" : "ended";
      }),

    leave: (id) =>
      database.within({}, async (tx): Promise<SessionState> => {
        const row = await tx
          .updateTable("gateway_sessions")
          .set({ left_at: sql`coalesce(left_at, clock_timestamp())` })
          .where("id", "=", id)
          .returning("state")
          .executeTakeFirst();
        if (row === undefined) return "closed";
        return row.state === "open" ? "ended" : row.state;
      }),

    close: (id) =>
      database.within({}, async (tx) => {
        await tx
          .updateTable("gateway_sessions")
          .set({ state: "closed", closed_at: sql<Date>`clock_timestamp()` })
          .where("id", "=", id)
          .where("state", "<>", "closed")
          .execute();
      }),

    open: () =>
      database.within({}, (tx) =>
        tx.selectFrom("gateway_sessions").select(["id", "renewal"]).where("state", "=", "open").execute(),
      ),

    end: (id, renewal) =>
      database.within({}, async (tx) => {
        const { numUpdatedRows } = await tx
          .updateTable("gateway_sessions")
          .set({ state: "ended", ended_at: sql<Date>`clock_timestamp()` })
          .where("id", "=", id)
          .where("renewal", "=", renewal)
          .where("state", "=", "open")
          .executeTakeFirstOrThrow();
        return numUpdatedRows === 1n;
      }),

    closedLately: () =>
      database.within({}, async (tx) => {
        const rows = await tx
          .selectFrom("gateway_sessions")
          .select("id")
          .where("state", "=", "closed")
          .where("closed_at", ">", sql<Date>`clock_timestamp() - interval '1 day'`)
          .execute();
        return rows.map(({ id }) => id);
      }),

    deleteClosed: (keptMs) =>
      database.within({}, async (tx) => {
        const { numDeletedRows } = await tx
          .deleteFrom("gateway_sessions")
          .where("state", "=", "closed")
          .where("closed_at", "<", sql<Date>`clock_timestamp() - ${keptMs} * interval '1 millisecond'`)
          .executeTakeFirstOrThrow();
        return Number(numDeletedRows);
      }),
  };
}
