import { type Clock, DomainError, type Id, newId } from "@routeplane/domain";

/** The isolation primitive. */
export interface Namespace {
  readonly id: Id<"ns">;
  readonly accountId: Id<"acc">;
  /** Unique among those of its account that are not deleted. */
  readonly name: string;
  readonly createdAt: Date;
  /** Since when all its keys are refused. */
  readonly suspendedAt: Date | undefined;
  /** Since when it is gone for everyone; it comes back by `restore` until its restore window is over. */
  readonly deletedAt: Date | undefined;
}

export type NamespaceState = "active" | "suspended" | "deleted";

/** A namespace as it is to be; the same one if there is nothing to change. */
export type NamespaceChange = (namespace: Namespace) => Namespace;

const RESTORE_WINDOW_MS = 30 * 24 * 3_600_000;

export function newNamespace(accountId: Id<"acc">, name: string, clock: Clock): Namespace {
  const createdAt = new Date(clock());
  return { id: newId("ns"), accountId, name, createdAt, suspendedAt: undefined, deletedAt: undefined };
}

/** Until when a deleted namespace can be restored; undefined if it is not deleted. */
export function restorableUntil({ deletedAt }: Namespace): Date | undefined {
  return deletedAt && new Date(deletedAt.getTime() + RESTORE_WINDOW_MS);
}

/** Namespaces that were deleted after this moment can be restored now. */
export function deletedSince(now: number): Date {
  return new Date(now - RESTORE_WINDOW_MS);
}

/** Whether it can be named at all: one whose restore window is over is as unknown as one that never was. */
export function isKnown(namespace: Namespace, now: number): boolean {
  const until = restorableUntil(namespace);
  return until === undefined || until.getTime() > now;
}

/** Several accounts have a namespace of this name, and the caller reaches them all. */
export function ambiguousName(name: string, ids: readonly string[]): DomainError {
  const message = `several accounts have a namespace ${JSON.stringify(name)}: name it by its id, one of ${ids.join(" ")}`;
  return new DomainError("failed_precondition", "NAME_AMBIGUOUS", message, { metadata: { ids: ids.join(" ") } });
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
