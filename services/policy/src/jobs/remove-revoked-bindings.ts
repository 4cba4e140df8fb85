import { type Component, type Logger, runPeriodically } from "@routeplane/runtime";

const EVERY_MS = 1_000;
const RETRY_MS = 5_000;

/** Removes what is bound to revoked keys, soon after each revocation. Any number of replicas can do so at once. */
export function removeRevokedBindings(remove: () => Promise<number>, log: Logger): Component {
  return runPeriodically({
    name: "remove what is bound to revoked keys",
    everyMs: EVERY_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      await remove();
      return false;
    },
  });
}
