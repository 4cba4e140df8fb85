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
 * Permissions of each user, which are the minimum (deploy/README.md documents them for platform teams). A gateway publishes usage
 * events and creates a missing stream, but cannot read, change, purge or delete it. An aggregator declares stream and consumer, reads
 * through its own consumer and removes acknowledged messages, but cannot publish events. Neither can subscribe to responses to the
 * other.
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
