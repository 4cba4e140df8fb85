/**
 * Batching of calls that would otherwise wait for the same row locks.
 *
 * 1. A call whose batch key is idle runs at once, alone.
 * 2. Calls that arrive while a batch of their key runs wait, and are the next batch, in order of arrival.
 * 3. A batch has at most `MAX_BATCH` calls and no two with the same id; others wait for the batch after it.
 *
 * Batches of one key run one after the other, those of different keys at the same time. If a whole batch fails, the fault may be
 * that of one call, so that each call is run again alone; but UNAVAILABLE fails all calls, because each would fail again.
 */
import { DomainError } from "@routeplane/domain";

/** Result of one call of a batch, or its error. */
export type Outcome<Result> = { readonly result: Result } | { readonly error: unknown };

export interface BatchOptions<Call, Result> {
  /** Key of the calls that may share a batch. */
  readonly batchKeyOf: (call: Call) => string;
  /** Id of which a batch has at most one call. */
  readonly idOf: (call: Call) => string;
  /** Runs a batch and returns the outcome of each call in order. If it throws, no call was run. */
  readonly run: (calls: readonly Call[]) => Promise<readonly Outcome<Result>[]>;
}

interface WaitingCall<Call, Result> {
  readonly call: Call;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Largest number of calls in a batch: it bounds how long the first of them waits for the last. */
export const MAX_BATCH = 64;

export function createBatcher<Call, Result>(options: BatchOptions<Call, Result>): (call: Call) => Promise<Result> {
  const { batchKeyOf, idOf, run } = options;
  /** Calls that wait, by batch key; an entry exists while a batch of the key runs. */
  const queues = new Map<string, WaitingCall<Call, Result>[]>();

  const runBatch = async (batch: readonly WaitingCall<Call, Result>[]): Promise<void> => {
    try {
      const outcomes = await run(batch.map(({ call }) => call));
      batch.forEach(({ resolve, reject }, index) => {
        const outcome = outcomes[index] ?? { error: new Error("a call of the batch has no outcome") };
        if ("result" in outcome) resolve(outcome.result);
        else reject(outcome.error);
      });
    } catch (error) {
      const isOutage = error instanceof DomainError && error.code === "unavailable";
      if (isOutage || batch.length === 1) for (const { reject } of batch) reject(error);
      else await Promise.all(batch.map((waiting) => runBatch([waiting])));
    }
  };

  const drain = async (batchKey: string, queue: WaitingCall<Call, Result>[]): Promise<void> => {
    while (queue.length > 0) await runBatch(takeBatch(queue, idOf));
    queues.delete(batchKey);
  };

  return (call) => {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const batchKey = batchKeyOf(call);
    const queue = queues.get(batchKey);
    if (queue === undefined) {
      const first = [{ call, resolve, reject }];
      queues.set(batchKey, first);
      void drain(batchKey, first);
    } else {
      queue.push({ call, resolve, reject });
    }
    return promise;
  };
}

/** Removes the next batch from the queue: the calls that wait longest, without those whose id the batch has already. */
function takeBatch<Call, Result>(
  queue: WaitingCall<Call, Result>[],
  idOf: (call: Call) => string,
): readonly WaitingCall<Call, Result>[] {
  const batch = new Map<string, WaitingCall<Call, Result>>();
  const postponed: WaitingCall<Call, Result>[] = [];
  for (const waiting of queue.splice(0)) {
    const id = idOf(waiting.call);
    if (batch.size < MAX_BATCH && !batch.has(id)) batch.set(id, waiting);
    else postponed.push(waiting);
  }
  queue.push(...postponed);
  return [...batch.values()];
}
