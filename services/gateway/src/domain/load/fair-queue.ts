import { Fifo } from "./fifo.ts";

/** Work that a flow may have done in each round. The cost of an item is one, before it is charged for more. */
const QUANTUM = 1;
/** Maximum number of flows that one removal passes over. */
const MAX_PASSED_OVER = 1_024;
/** Maximum work that a flow is charged in advance: it waits no more rounds than that. */
const MAX_DEFICIT = 64;

/** Items of one origin in a `FairQueue`, in the order of their arrival. */
export class Flow<T> {
  readonly items = new Fifo<T>();
  /** Work that it may have done in this round; negative if it has had more. */
  deficit = 0;
  /** True while it is in one of the queue's lists. */
  isListed = false;

  /** True while it has had more work done than its share. */
  get owes(): boolean {
    return this.deficit < 0;
  }
}

/**
 * Queue that is fair between the flows of its items: deficit round robin, with precedence for flows that had nothing waiting, as in
 * FQ-CoDel (RFC 8290, section 4.2; its quantum is one item here). A flow with few items waits for one item of each other flow at
 * most, however many those have. Every operation takes constant time, amortised.
 */
export class FairQueue<T, F extends Flow<T> = Flow<T>> {
  /** Flows that have got items and were not served since then. */
  readonly #newFlows = new Fifo<F>();
  /** Flows that have been served, in the order of their turns. */
  readonly #oldFlows = new Fifo<F>();
  #size = 0;

  /** Number of items. */
  get size(): number {
    return this.#size;
  }

  push(flow: F, item: T): void {
    flow.items.push(item);
    this.#size++;
    if (flow.isListed) return;
    flow.isListed = true;
    flow.deficit = QUANTUM;
    this.#newFlows.push(flow);
  }

  /**
   * Removes the next item.
   *
   * @param mayServe false for a flow whose turn is passed over
   * @returns undefined if there is none, or many flows were passed over
   */
  shift(mayServe: (flow: F) => boolean = () => true): T | undefined {
    let passedOver = 0;
    while (this.#size > 0) {
      const isNew = this.#newFlows.size > 0;
      const list = isNew ? this.#newFlows : this.#oldFlows;
      const flow = list.first;
      if (flow === undefined) return undefined;
      if (flow.items.size > 0 && flow.deficit > 0 && !mayServe(flow)) {
        if (++passedOver > MAX_PASSED_OVER) return undefined;
        list.shift();
        this.#oldFlows.push(flow);
        continue;
      }
      if (flow.items.size > 0 && flow.deficit > 0) {
        flow.deficit -= QUANTUM;
        this.#size--;
        return flow.items.shift();
      }
      list.shift();
      if (flow.items.size > 0) flow.deficit += QUANTUM;
      // A flow without items stays for one round: otherwise it would be new, and come first, with each item that it gets.
      else if (flow.owes) flow.deficit += QUANTUM;
      else if (!isNew) {
        flow.isListed = false;
        continue;
      }
      this.#oldFlows.push(flow);
    }
    return undefined;
  }

  /** Charges a flow with waiting items for work beyond that of its item: its next turn comes that many rounds later. */
  charge(flow: F, work: number): void {
    if (flow.isListed) flow.deficit = Math.max(-MAX_DEFICIT, flow.deficit - work);
  }
}
