import { listen, type Listener } from "@routeplane/postgres";
import type { Logger } from "@routeplane/runtime";
import type { ChangeFeed } from "../domain/change-feed.ts";

/** How often the counter is read, and watchers hear that all is well. */
const INTERVAL_MS = 1_000;

/** Follows the changes that the database announces, those made by other processes too, into `feed`. */
export function followChanges(databaseUrl: string, feed: ChangeFeed, log: Logger): Listener {
  return listen({
    url: databaseUrl,
    schema: "auth",
    applicationName: "routeplane-auth-changes",
    channel: "auth_changes",
    probe: "select sequence from changes",
    intervalMs: INTERVAL_MS,
    onNotification(payload) {
      const [, sequence = "0", subjectId = ""] = /^(\d+):(.+)$/.exec(payload) ?? [];
      feed.announced(BigInt(sequence), subjectId);
    },
    onProbe: (sequence, fresh) => feed.confirmed(BigInt(sequence), fresh),
    onLost(cause) {
      feed.lost();
      log.warn({ err: cause }, "the connection that follows changes is lost");
    },
  });
}
