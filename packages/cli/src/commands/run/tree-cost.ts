import { setTimeout as delay } from "node:timers/promises";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { RequestStatus, UsageDimension } from "@routeplane/contracts/usage";
import type { NodeClient } from "../../client.ts";

/** Requests of a key and of all keys below it. */
export interface TreeCost {
  readonly requestCount: number;
  readonly costMicroUsd: number;
  /** False if a request was still running, or too many keys were in use to look up: the cost is then a lower bound. */
  readonly isComplete: boolean;
}

/**
 * Interval at which the sum is read again. It is complete if unchanged: the interval is longer than a usage event takes to become a row.
 */
const POLL_MS = 500;
const MAX_WAIT_MS = 5_000;
/** Maximum number of keys that are looked up to find those below the key. */
const MAX_LOOKUPS = 200;

/**
 * Reads the cost of a key and all keys below it, once none of their requests is running, or after 5 s at the latest.
 *
 * @param since time at which the key was minted
 * @throws ConnectError PERMISSION_DENIED without the scopes usage:read and keys:read; an error if `signal` is aborted
 */
export async function readTreeCost(
  client: NodeClient,
  keyId: string,
  since: Timestamp,
  signal: AbortSignal,
): Promise<TreeCost> {
  const tree = new KeyTree(client, keyId, signal);
  const startedAt = performance.now();
  let previous: TreeCost | undefined;
  for (;;) {
    const cost = await readOnce(client, tree, since, signal);
    const isUnchanged = previous?.requestCount === cost.requestCount && previous.costMicroUsd === cost.costMicroUsd;
    if (isUnchanged && cost.isComplete) return cost;
    if (performance.now() - startedAt > MAX_WAIT_MS) return { ...cost, isComplete: false };
    previous = cost;
    await delay(POLL_MS, undefined, { signal });
  }
}

async function readOnce({ usage }: NodeClient, tree: KeyTree, from: Timestamp, signal: AbortSignal): Promise<TreeCost> {
  const groupBy = [UsageDimension.KEY, UsageDimension.STATUS];
  const { groups } = await usage.getUsage({ from, groupBy }, { signal });
  let [requestCount, costMicroUsd, isComplete] = [0, 0, true];
  for (const { keyId, status, requestCount: count, spendMicroUsd } of groups) {
    const isIn = await tree.includes(keyId);
    if (isIn !== true) {
      isComplete &&= isIn === false;
      continue;
    }
    requestCount += Number(count);
    costMicroUsd += Number(spendMicroUsd);
    isComplete &&= status !== RequestStatus.PENDING;
  }
  return { requestCount, costMicroUsd, isComplete };
}

/**
 * Key and the keys below it, found by their parents. Key ids are ordered by time, so an id lower than that of the key is never below it.
 */
class KeyTree {
  readonly #client: NodeClient;
  readonly #rootId: string;
  readonly #signal: AbortSignal;
  readonly #members = new Map<string, boolean>();
  #lookups = 0;

  constructor(client: NodeClient, rootId: string, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    this.#rootId = rootId;
    this.#members.set(rootId, true);
  }

  /** True if the key belongs to the tree; undefined if that would take too many look-ups. */
  async includes(keyId: string): Promise<boolean | undefined> {
    const known = this.#members.get(keyId);
    if (known !== undefined || keyId < this.#rootId) return known ?? false;
    if (this.#lookups === MAX_LOOKUPS) return undefined;
    this.#lookups += 1;
    const { key } = await this.#client.keys.getKey({ id: keyId }, { signal: this.#signal });
    const isIn = await this.includes(key?.parentId ?? "");
    if (isIn !== undefined) this.#members.set(keyId, isIn);
    return isIn;
  }
}
