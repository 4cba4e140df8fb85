/** Subjects that a NATS user may publish to and subscribe to. */
interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** NATS users of a node's processes. */
export type NatsUser = "gateway" | "aggregator";

const SUBJECT = "routeplane.usage.v1";
const STREAM = "ROUTEPLANE_USAGE";
const CONSUMER = "usage-aggregator";
const API = "$JS.API";

/**
 * Subjects that each user needs, and no others (deploy/README.md shows them to platform teams). A gateway publishes usage
 * events, and creates the stream where there is none: it can neither read, change, purge nor delete it. An aggregator reads
 * through its own consumer, declares stream and consumer, and removes what is done: it cannot publish an event. Neither can
 * listen to the answers of the other.
 */
const NATS_PERMISSIONS: Readonly<Record<NatsUser, Permissions>> = {
  gateway: {
    publish: [SUBJECT, `${API}.INFO`, `${API}.STREAM.INFO.${STREAM}`, `${API}.STREAM.CREATE.${STREAM}`],
    subscribe: ["_INBOX.gateway.>"],
  },
  aggregator: {
    publish: [
      `${API}.INFO`,
      `${API}.STREAM.INFO.${STREAM}`,
      `${API}.STREAM.CREATE.${STREAM}`,
      `${API}.STREAM.UPDATE.${STREAM}`,
      `${API}.STREAM.PURGE.${STREAM}`,
      `${API}.STREAM.MSG.GET.${STREAM}`,
      `${API}.CONSUMER.INFO.${STREAM}.${CONSUMER}`,
      `${API}.CONSUMER.CREATE.${STREAM}.${CONSUMER}.${SUBJECT}`,
      `${API}.CONSUMER.MSG.NEXT.${STREAM}.${CONSUMER}`,
      `$JS.ACK.${STREAM}.${CONSUMER}.>`,
    ],
    subscribe: ["_INBOX.aggregator.>"],
  },
};

/** A user with its permissions in nats-server's configuration language; `password` is written as it stands. */
export function natsUserConfig(user: NatsUser, password: string): string {
  const permissions = JSON.stringify(NATS_PERMISSIONS[user], undefined, 2).replaceAll(/"(\w+)":/g, "$1:");
  return `{ user: ${user}, password: ${password}, permissions: ${permissions} }`;
}
