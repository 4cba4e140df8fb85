import { type Clock, DomainError, type Id, newId } from "@routeplane/domain";

/** The unit of isolation: keys, policies, bindings and usage live in exactly one. */
export interface Namespace {
  readonly id: Id<"ns">;
  readonly accountId: Id<"acc">;
  /** Unique among the namespaces of its account that are not deleted. */
  readonly name: string;
  readonly createdAt: Date;
  /** Time of the suspension, from which on all its keys are refused; undefined if it is not suspended. */
  readonly suspendedAt: Date | undefined;
  /** Time of the deletion; undefined if it is not deleted. It can be restored until its restore window is over. */
  readonly deletedAt: Date | undefined;
}

export type NamespaceState = "active" | "suspended" | "deleted";

/** A change: takes a namespace and returns it changed, or the same object if there is nothing to change. */
export type NamespaceChange = (namespace: Namespace) => Namespace;

const RESTORE_WINDOW_MS = 30 * 24 * 3_600_000;

export function newNamespace(accountId: Id<"acc">, name: string, clock: Clock): Namespace {
  const createdAt = new Date(clock());
  return { id: newId("ns"), accountId, name, createdAt, suspendedAt: undefined, deletedAt: undefined };
}

/** End of the restore window of a deleted namespace; undefined if it is not deleted. */
export function restorableUntil({ deletedAt }: Namespace): Date | undefined {
  return deletedAt && new Date(deletedAt.getTime() + RESTORE_WINDOW_MS);
}

/** Start of the restore window: namespaces that were deleted after this time can be restored at `now`. */
export function restoreWindowStart(now: number): Date {
  return new Date(now - RESTORE_WINDOW_MS);
}

/** True until the restore window of a deleted namespace is over; then it is NOT_FOUND like one that never existed. */
export function isKnown(namespace: Namespace, now: number): boolean {
  const until = restorableUntil(namespace);
  return until === undefined || until.getTime() > now;
}

/** Maximum number of ids that the error for an ambiguous name lists. */
export const MAX_AMBIGUOUS_IDS = 10;

/**
 * Error for a name that namespaces of several accounts in the caller's reach have. Lists at most `MAX_AMBIGUOUS_IDS` of them, because the
 * number of accounts has no bound, but errors have: gRPC carries them in headers.
 */
export function ambiguousName(name: string, ids: readonly string[]): DomainError {
  const listed = ids.slice(0, MAX_AMBIGUOUS_IDS).join(" ");
  const others = ids.length > MAX_AMBIGUOUS_IDS ? " and others" : "";
  const message = `several accounts have a namespace ${JSON.stringify(name)}: use its id, one of ${listed}${others}`;
  return new DomainError("failed_precondition", "NAME_AMBIGUOUS", message, { metadata: { ids: listed } });
}

export function rename(name: string): NamespaceChange {
  return (namespace) => ({ ...namespace, name });
}

export function suspend(now: number): NamespaceChange {
  return (namespace) => (namespace.suspendedAt ? namespace : { ...namespace, suspendedAt: new Date(now) });
}

export const resume: NamespaceChange = (namespace) => ({ ...namespace, suspendedAt: undefined });

export function remove(now: number): NamespaceChange {
  return (namespace) => (namespace.deletedAt ? namespace : { ...namespace, deletedAt: new Date(now) });
}

export const restore: NamespaceChange = (namespace) => ({ ...namespace, deletedAt: undefined });
