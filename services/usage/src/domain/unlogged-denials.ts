import type { Id } from "@routeplane/domain";
import { findTimeFault } from "./request.ts";

/** Denied requests of one key in one minute that have no row in the request log, as a gateway counted them. */
export interface UnloggedDenials {
  readonly namespaceId: Id<"ns">;
  /** Id of the count, so that a repeated event adds nothing. */
  readonly id: Id<"den">;
  /** First moment of the minute, in UTC. */
  readonly minute: Date;
  readonly keyId: Id<"key">;
  readonly model: string;
  readonly provider: string;
  readonly deniedCount: bigint;
}

/** Upper bound: no gateway refuses more in a few seconds, and sums of a billion counts still fit a bigint. */
const MAX_COUNT = 10n ** 9n;

/** Finds the rule that a count breaks, so that it cannot be stored; undefined if it breaks none. */
export function findDenialsFault({ minute, deniedCount }: UnloggedDenials): string | undefined {
  if (deniedCount < 1n || deniedCount > MAX_COUNT) return `count: must be from 1 to ${MAX_COUNT}`;
  return findTimeFault("minute", minute);
}
