import type { KeyPrincipal, VerifiedPrincipal } from "../principal.ts";

/** Subjects of a principal: ids of everything whose change can change what the principal may do. */
export function subjectsOf(principal: VerifiedPrincipal): readonly string[] {
  switch (principal.kind) {
    case "key":
      return [...principal.lineage, principal.namespaceId, principal.accountId, ...sessionSubjectsOf(principal)];
    case "operator":
      return [
        ...principal.lineage,
        ...(principal.accountId === undefined ? [] : [principal.accountId]),
        ...sessionSubjectsOf(principal),
      ];
    case "service":
      return [principal.serviceCredentialId];
  }
}

function sessionSubjectsOf({
  sessionId,
  operatorLineage = [],
}: Pick<KeyPrincipal, "sessionId" | "operatorLineage">): readonly string[] {
  return sessionId === undefined ? [] : [sessionId, ...operatorLineage];
}

/** Index of items by the subjects that their principals depend on. */
export class SubjectIndex<T> {
  readonly #items = new Map<string, Set<T>>();

  add(item: T, principal: VerifiedPrincipal): void {
    for (const subject of subjectsOf(principal)) {
      const items = this.#items.get(subject);
      if (items === undefined) this.#items.set(subject, new Set([item]));
      else items.add(item);
    }
  }

  remove(item: T, principal: VerifiedPrincipal): void {
    for (const subject of subjectsOf(principal)) {
      const items = this.#items.get(subject);
      items?.delete(item);
      if (items?.size === 0) this.#items.delete(subject);
    }
  }

  /** Items that depend on a subject: a copy, so the index may be changed while it is iterated. */
  itemsOf(subject: string): readonly T[] {
    return [...(this.#items.get(subject) ?? [])];
  }

  clear(): void {
    this.#items.clear();
  }
}

/** Changes that were announced while a verification was in flight: its result may be from before them. */
export class ConcurrentChanges {
  readonly #subjects = new Set<string>();
  #hasGap = false;

  add(subjectId: string): void {
    this.#subjects.add(subjectId);
  }

  /** Records that changes were missed: they may concern any principal. */
  addGap(): void {
    this.#hasGap = true;
  }

  get isEmpty(): boolean {
    return !this.#hasGap && this.#subjects.size === 0;
  }

  concern(principal: VerifiedPrincipal): boolean {
    return this.#hasGap || (this.#subjects.size > 0 && subjectsOf(principal).some((id) => this.#subjects.has(id)));
  }
}
