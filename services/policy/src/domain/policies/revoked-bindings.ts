import type { Clock, Id } from "@routeplane/domain";
import { onBehalfOf } from "@routeplane/runtime";
import type { BindingStore, Revocation, RevocationLog } from "../ports.ts";

/**
 * Time after which nothing can be bound to a revoked key any more: longer than any call that read the key before its revocation. A
 * revocation is acknowledged after it at the earliest.
 */
const SETTLED_AFTER_MS = 60_000;
/** Maximum number of revocations remembered as done; beyond it their bindings are searched for once more. */
const MAX_REMEMBERED = 10_000;

/**
 * Creates the removal of what is bound to revoked keys and to the keys below them, so that dead bindings do not count against the
 * quotas of policies. Each is recorded in the audit log on behalf of the call that revoked the key.
 *
 * At least once: the auth service lists a revocation until it is acknowledged, so that work continues where another process, or an earlier
 * run of this one, has stopped. Bindings with open reservations stay until those have ended: a running request is settled
 * against its budget.
 *
 * @returns a function that removes such bindings, and resolves to the number of revocations that are not done; it throws the first fault
 *   once it has tried all of them
 */
export function createRemoveRevokedBindings(
  revocations: RevocationLog,
  bindings: Pick<BindingStore, "removeOfRevoked">,
  clock: Clock,
): () => Promise<number> {
  /** Revoked keys to which nothing was bound when their bindings were last removed. */
  const clean = new Set<Id<"key">>();

  /** @returns true if the revocation may be acknowledged */
  async function isDone({ namespaceId, keyId, revokedAt, origin }: Revocation): Promise<boolean> {
    const isSettled = clock() - revokedAt.getTime() > SETTLED_AFTER_MS;
    if (!isSettled && clean.has(keyId)) return false;
    const isClean = await onBehalfOf(origin, () => bindings.removeOfRevoked(namespaceId, keyId));
    if (isClean && clean.size < MAX_REMEMBERED) clean.add(keyId);
    return isSettled && isClean;
  }

  return async () => {
    let [left, after]: [number, Revocation | undefined] = [0, undefined];
    const faults: unknown[] = [];
    for (;;) {
      const page: readonly Revocation[] = await revocations.list(after);
      const done: Id<"key">[] = [];
      for (const revocation of page) {
        // A fault of one revocation must not delay those after it.
        const ended = await isDone(revocation).catch((error: unknown) => {
          faults.push(error);
          return false;
        });
        if (ended) done.push(revocation.keyId);
      }
      if (done.length > 0) await revocations.acknowledge(done);
      for (const keyId of done) clean.delete(keyId);
      left += page.length - done.length;
      after = page.at(-1);
      if (after !== undefined) continue;
      if (faults.length > 0) throw faults[0];
      return left;
    }
  };
}
