import { DomainError } from "@routeplane/domain";

/** What became of one call of a batch. */
export type Outcome<Answer> = { readonly result: Answer } | { readonly error: unknown };

export interface BatchOptions<Call, Answer> {
  /** Calls of one lane would wait for one another anyway: they are made one batch after the other. */
  readonly batchKeyOf: (call: Call) => string;
  /** No two calls with the same one are in a batch. */
  readonly idOf: (call: Call) => string;
  /** Makes all of them, and tells of each; or throws, and then none was made. */
  readonly run: (calls: readonly Call[]) => Promise<readonly Outcome<Answer>[]>;
}

interface Waiting<Call, Answer> {
  readonly call: Call;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** Bounds how long the first of a batch waits for the last. */
export const MAX_BATCH = 64;

/**
 * A call is made at once where none is under way, alone; those that come in the meantime are the next batch. What makes a batch
 * fail need not concern all of its calls, so each is then made alone, unless nothing can be made at all (UNAVAILABLE).
 */
export function createBatcher<Call, Answer>(options: BatchOptions<Call, Answer>): (call: Call) => Promise<Answer> {
  const { batchKeyOf, idOf, run } = options;
  const lanes = new Map<string, Waiting<Call, Answer>[]>();

  const runBatch = async (batch: readonly Waiting<Call, Answer>[]): Promise<void> => {
    try {
      const outcomes = await run(batch.map(({ call }) => call));
      batch.forEach(({ resolve, reject }, index) => {
        const outcome = outcomes[index] ?? { error: new Error("a call of the batch was not answered") };
        if ("result" in outcome) resolve(outcome.result);
        else reject(outcome.error);
      });
    } catch (error) {
      const isOutage = error instanceof DomainError && error.code === "unavailable";
      if (isOutage || batch.length === 1) for (const { reject } of batch) reject(error);
      else await Promise.all(batch.map((each) => runBatch([each])));
    }
  };

  const drain = async (lane: string, waiting: Waiting<Call, Answer>[]): Promise<void> => {
    while (waiting.length > 0) await runBatch(takeBatch(waiting, idOf));
    lanes.delete(lane);
  };

  return (call) => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const lane = batchKeyOf(call);
    const waiting = lanes.get(lane);
    if (waiting === undefined) {
      const first = [{ call, resolve, reject }];
      lanes.set(lane, first);
      void drain(lane, first);
    } else {
      waiting.push({ call, resolve, reject });
    }
    return promise;
  };
}

/** The longest waiting, without those whose id is among them already. */
function takeBatch<Call, Answer>(
  waiting: Waiting<Call, Answer>[],
  idOf: (call: Call) => string,
): readonly Waiting<Call, Answer>[] {
  const batch = new Map<string, Waiting<Call, Answer>>();
  const left: Waiting<Call, Answer>[] = [];
  for (const each of waiting.splice(0)) {
    const id = idOf(each.call);
    if (batch.size < MAX_BATCH && !batch.has(id)) batch.set(id, each);
    else left.push(each);
  }
  waiting.push(...left);
  return [...batch.values()];
}
