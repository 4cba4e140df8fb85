import { type Component, type Logger, runPeriodically } from "@routeplane/runtime";
import type { RequestLog } from "../domain/ports.ts";

const EVERY_MS = 5_000;
const RETRY_MS = 30_000;
/** Maximum number of requests in one transaction, so that it is short. */
const MAX_REQUESTS = 500;

/** Charges requests that nobody settled before their reservation expired. Any number of replicas can do so at once. */
export function expireRequests(requests: RequestLog, log: Logger): Component {
  return runPeriodically({
    name: "charge requests that nobody settled",
    everyMs: EVERY_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      const expired = await requests.expireRequests(MAX_REQUESTS);
      if (expired > 0n) log.warn({ requests: Number(expired) }, "expired reservations charged in full");
      return expired === BigInt(MAX_REQUESTS);
    },
  });
}
