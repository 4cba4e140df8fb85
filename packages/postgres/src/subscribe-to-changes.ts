import type { Logger, WatchedSecret } from "@routeplane/runtime";
import { listen, type ListenConnection, type ListenOptions } from "./listen.ts";

export interface SubscribeToChangesOptions {
  /** Connection string of the server itself, or of a pooler in session mode. */
  readonly url: string | WatchedSecret;
  /** Logger of changed connection strings. None by default. */
  readonly log?: Logger;
  /** Schema of a service that has a change counter; its changes are announced on the channel `<schema>_changes`. */
  readonly schema: string;
  /** Receives the changes of every process, this one included. */
  readonly listener: ChangeListener;
  /** Second channel, for notifications that are not changes; none by default. */
  readonly second?: ListenOptions["second"];
  /** Called when the connection is lost, after `listener.lost()`; a new connection is being opened. */
  readonly onLost: (cause: unknown) => void;
}

/** Receiver of a service's change feed, e.g. the feed that passes changes on to the subscribers of this process. */
export interface ChangeListener {
  /** Called for each change, with its number and the id of the subject that changed. */
  announced(sequence: bigint, subjectId: string): void;
  /**
   * Called about once a second with the number of the last change, read on the connection that announces changes.
   *
   * @param fresh true if the connection is new: announcements before this call may have been missed
   */
  confirmed(sequence: bigint, fresh: boolean): void;
  /** Called when the feed is no longer live; the next call of `confirmed` ends that. */
  lost(): void;
}

/** Interval at which the counter is read and passed to `confirmed`. */
const INTERVAL_MS = 1_000;

/**
 * Subscribes a listener to the changes that a service's database announces, until it is stopped. Reconnects by itself.
 *
 * @see announceChanges for the trigger that announces them
 */
export function subscribeToChanges(options: SubscribeToChangesOptions): ListenConnection {
  const { url, log, schema, listener, second, onLost } = options;
  return listen({
    url,
    log,
    applicationName: `routeplane-${schema}-changes`,
    channel: `${schema}_changes`,
    second,
    probe: "select sequence from changes",
    intervalMs: INTERVAL_MS,
    onNotification(payload) {
      const [, sequence = "0", subjectId = ""] = /^(\d+):(.+)$/.exec(payload) ?? [];
      listener.announced(BigInt(sequence), subjectId);
    },
    onProbe: (sequence, fresh) => listener.confirmed(BigInt(sequence), fresh),
    onLost(cause) {
      listener.lost();
      onLost(cause);
    },
  });
}
