/** Subject on which cached entries depend, e.g. a key or a namespace. Shared by all entries that depend on it. */
export interface CachedSubject {
  readonly id: string;
  /** Number of entries that depend on it. */
  uses: number;
  /** True once it changed: entries that depend on it must not be used any more. */
  hasChanged: boolean;
}

/** Memory of a subject and its id. It counts for the entry that depended on it first: most are of one key alone. */
export const SUBJECT_BYTES = 112;

/**
 * Subjects of the entries of a cache. A change marks its subject, in constant time whatever depends on it; an entry finds out when
 * it is looked up, and leaves the cache then or by eviction.
 */
export class SubjectChanges {
  readonly #subjects = new Map<string, CachedSubject>();

  /** Counts one more entry that depends on a subject as it is now. */
  acquire(id: string): CachedSubject {
    let subject = this.#subjects.get(id);
    if (subject === undefined) {
      subject = { id, uses: 0, hasChanged: false };
      this.#subjects.set(id, subject);
    }
    subject.uses++;
    return subject;
  }

  /** Counts one entry less. */
  release(subject: CachedSubject): void {
    subject.uses--;
    if (subject.uses === 0 && this.#subjects.get(subject.id) === subject) this.#subjects.delete(subject.id);
  }

  /** Marks a subject as changed, for all entries that depend on it by now. */
  markChanged(id: string): void {
    const subject = this.#subjects.get(id);
    if (subject === undefined) return;
    subject.hasChanged = true;
    this.#subjects.delete(id);
  }
}
