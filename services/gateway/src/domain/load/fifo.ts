/** Maximum number of removed items in front of the others, before the list is copied without them. */
const MAX_REMOVED = 64;

/** List from which the first item is taken in constant time, however long it is: `Array.shift` moves all others. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #first = 0;

  get size(): number {
    return this.#items.length - this.#first;
  }

  get first(): T | undefined {
    return this.#items[this.#first];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Removes the first item. @returns undefined if there is none */
  shift(): T | undefined {
    const item = this.#items[this.#first];
    if (this.size === 0) return undefined;
    this.#items[this.#first++] = undefined;
    if (this.#first > MAX_REMOVED && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }
}
