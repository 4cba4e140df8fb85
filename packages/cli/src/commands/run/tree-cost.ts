import { setTimeout as delay } from "node:timers/promises";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { RequestStatus, UsageDimension } from "@routeplane/contracts/usage";
import type { NodeClient } from "../../client.ts";

/** Requests of a key and of all keys below it. */
export interface TreeCost {
  readonly requestCount: number;
  readonly costMicroUsd: number;
  /** False if a request was still running, or more keys were in use than are looked up: the cost is at least this. */
  readonly isComplete: boolean;
}

/** Time after which a sum that is read again unchanged is complete: longer than a usage event takes to its row. */
const POLL_MS = 500;
const MAX_WAIT_MS = 5_000;
/** Maximum number of keys that are looked up, to find those below the key. */
const MAX_LOOKUPS = 200;

/**
 * Reads what a key and all below it have cost, once nothing of it is running any more, or after 5 s at the latest.
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

/** A key and those below it, found by their parents. Ids of keys grow with the time of their mint, so that no older key is one. */
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

  /** Undefined if it would take too many look-ups to know. */
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
