import { listen, type Listener } from "./listen.ts";

export interface FollowChangesOptions {
  /** Straight to the server, or through a pooler that keeps sessions. */
  readonly url: string;
  /** Of a service, with a counter of changes; they are announced on the channel `<schema>_changes`. */
  readonly schema: string;
  /** Told of the changes, those made by other processes too. */
  readonly feed: ChangeSink;
  /** The connection is lost; another is being made. */
  readonly onLost: (cause: unknown) => void;
}

/** What a feed of changes is told by whoever follows them. */
export interface ChangeSink {
  /** A change was announced. */
  announced(sequence: bigint, subjectId: string): void;
  /**
   * The counter was read on the connection on which changes are announced.
   *
   * @param fresh whether announcements may have been missed before
   */
  confirmed(sequence: bigint, fresh: boolean): void;
  /** Changes cannot be followed until the next confirmation. */
  lost(): void;
}

/** How often the counter is read, and watchers hear that all is well. */
const INTERVAL_MS = 1_000;

/** Follows the changes that a service's database announces into `feed`, until it is stopped. */
export function followChanges({ url, schema, feed, onLost }: FollowChangesOptions): Listener {
  return listen({
    url,
    schema,
    applicationName: `routeplane-${schema}-changes`,
    channel: `${schema}_changes`,
    probe: "select sequence from changes",
    intervalMs: INTERVAL_MS,
    onNotification(payload) {
      const [, sequence = "0", subjectId = ""] = /^(\d+):(.+)$/.exec(payload) ?? [];
      feed.announced(BigInt(sequence), subjectId);
    },
    onProbe: (sequence, fresh) => feed.confirmed(BigInt(sequence), fresh),
    onLost(cause) {
      feed.lost();
      onLost(cause);
    },
  });
}
