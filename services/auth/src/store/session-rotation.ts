import type { Transaction } from "@routeplane/postgres";
import type { RawBuilder, SqlBool } from "kysely";
import type { AuthSchema } from "./schema.ts";

/**
 * Locks the sessions that meet the condition and have not ended, in one order for all transactions. A rotation calls it before it writes
 * secrets, because a write of sessions or secrets takes the lock of the change counter, which must be the last.
 */
export async function lockSessions(tx: Transaction<AuthSchema>, opened: RawBuilder<SqlBool>): Promise<void> {
  const live = tx.selectFrom("sessions").select("id").where(opened).where("revoked_at", "is", null);
  await live.orderBy("id").forNoKeyUpdate().execute();
}

/** Ends the sessions and removes the sign-in codes of a credential that is rotated without a grace, because its token may have leaked. */
export async function endSessions(
  tx: Transaction<AuthSchema>,
  opened: RawBuilder<SqlBool>,
  endedAt: Date,
): Promise<void> {
  await tx
    .updateTable("sessions")
    .set({ revoked_at: endedAt, ended_by: "rotation" })
    .where(opened)
    .where("revoked_at", "is", null)
    .execute();
  await tx.deleteFrom("sign_in_codes").where(opened).execute();
}
