import type { Principal } from "../principal.ts";

/** Ids of everything whose change may change what this principal may do. */
export function subjectsOf(principal: Principal): readonly string[] {
  switch (principal.kind) {
    case "key":
      return [...principal.lineage, principal.namespaceId, principal.accountId];
    case "operator":
      return [...principal.lineage, ...(principal.accountId === undefined ? [] : [principal.accountId])];
    case "service":
      return [];
  }
}

/** Finds items by any of the subjects that they depend on. */
export class SubjectIndex<T> {
  readonly #items = new Map<string, Set<T>>();

  add(item: T, principal: Principal): void {
    for (const subject of subjectsOf(principal)) {
      const items = this.#items.get(subject);
      if (items === undefined) this.#items.set(subject, new Set([item]));
      else items.add(item);
    }
  }

  remove(item: T, principal: Principal): void {
    for (const subject of subjectsOf(principal)) {
      const items = this.#items.get(subject);
      items?.delete(item);
      if (items?.size === 0) this.#items.delete(subject);
    }
  }

  /** As they are now; may be changed while it is read. */
  of(subject: string): readonly T[] {
    return [...(this.#items.get(subject) ?? [])];
  }

  clear(): void {
    this.#items.clear();
  }
}

/** What changed while an answer was on its way: it may have been given before. */
export class ChangeRecord {
  readonly #subjects = new Set<string>();
  #missed = false;

  note(subject: string): void {
    this.#subjects.add(subject);
  }

  noteGap(): void {
    this.#missed = true;
  }

  get isEmpty(): boolean {
    return !this.#missed && this.#subjects.size === 0;
  }

  touches(principal: Principal): boolean {
    return this.#missed || (this.#subjects.size > 0 && subjectsOf(principal).some((each) => this.#subjects.has(each)));
  }
}
