/** Subject on which cached entries depend, e.g. a key or a namespace. Shared by all entries that depend on it. */
export interface CachedSubject {
  readonly id: string;
  /** Number of entries that depend on it. */
  uses: number;
  /** True once it has changed: entries that depend on it must no longer be used. */
  hasChanged: boolean;
}

/** Memory of a subject and its id. It is counted for the first entry that depends on it: most subjects have one key. */
export const SUBJECT_BYTES = 112;

/**
 * Subjects of the entries of a cache. A change marks its subject, in constant time for any number of entries. A look-up of an entry finds
 * the mark and removes the entry; other entries leave by eviction.
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
