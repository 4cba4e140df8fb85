import { isLockFailure, isUniqueViolation } from "@routeplane/postgres";
import { CounterMissing } from "./ledger-reads.ts";

const MAX_ATTEMPTS = 10;
/** Unique indexes on which an insert conflicts with that of another transaction: the primary key of any partition. */
const CONFLICTING_INDEXES = [/^holds\w*_pkey$/, "holds_idempotency_key"];

/**
 * Runs a transaction again if a reservation was written, or a binding removed, while it waited for locks, or if it was chosen to resolve a
 * deadlock.
 */
export async function retryOnConflict<T>(transaction: () => Promise<T>, attemptsLeft = MAX_ATTEMPTS): Promise<T> {
  try {
    return await transaction();
  } catch (error) {
    const isConflict =
      error instanceof CounterMissing ||
      isLockFailure(error) ||
      CONFLICTING_INDEXES.some((name) => isUniqueViolation(error, name));
    if (!isConflict || attemptsLeft <= 1) throw error;
    return retryOnConflict(transaction, attemptsLeft - 1);
  }
}
