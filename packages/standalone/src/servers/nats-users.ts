/** Subjects that a NATS user may publish to and subscribe to. */
interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** NATS users of a node's processes. */
export type NatsUser = "gateway" | "aggregator";

const SUBJECT = "routeplane.usage.v2";
const PARTITIONS = 8;
const CONSUMER = "usage-aggregator";
const STREAM = "ROUTEPLANE_USAGE_V2";
/** Names from releases before partitions, whose messages an aggregator still consumes. */
const EARLIER = { subject: "routeplane.usage.v1", stream: "ROUTEPLANE_USAGE" };
const API = "$JS.API";

/**
 * Minimum permissions of each user (deploy/README.md documents them for platform teams). A gateway publishes usage events and creates a
 * missing stream, but cannot read, change, purge or delete it. An aggregator declares stream and consumers, reads through them and removes
 * acknowledged messages, but cannot publish events. Neither can subscribe to the responses that the other one gets.
 */
const NATS_PERMISSIONS: Readonly<Record<NatsUser, Permissions>> = {
  gateway: {
    publish: [
      `${SUBJECT}.*`,
      EARLIER.subject,
      `${API}.INFO`,
      ...[STREAM, EARLIER.stream].flatMap((stream) => [
        `${API}.STREAM.INFO.${stream}`,
        `${API}.STREAM.CREATE.${stream}`,
      ]),
    ],
    subscribe: ["_INBOX.gateway.>"],
  },
  aggregator: {
    publish: [
      `${API}.INFO`,
      ...reading(STREAM, "*"),
      // One by one, so that it cannot create consumers of other names.
      ...Array.from({ length: PARTITIONS }, (_, n) => creating(STREAM, `${CONSUMER}-${n}`, `${SUBJECT}.${n}`)),
      ...reading(EARLIER.stream, CONSUMER),
      creating(EARLIER.stream, CONSUMER, EARLIER.subject),
    ],
    subscribe: ["_INBOX.aggregator.>"],
  },
};

function creating(stream: string, consumer: string, subject: string): string {
  return `${API}.CONSUMER.CREATE.${stream}.${consumer}.${subject}`;
}

/** Lists the permissions to declare a stream, to read it through a consumer that exists, and to remove messages from it. */
function reading(stream: string, consumer: string): readonly string[] {
  return [
    `${API}.STREAM.INFO.${stream}`,
    `${API}.STREAM.CREATE.${stream}`,
    `${API}.STREAM.UPDATE.${stream}`,
    `${API}.STREAM.PURGE.${stream}`,
    `${API}.STREAM.MSG.GET.${stream}`,
    `${API}.CONSUMER.INFO.${stream}.${consumer}`,
    `${API}.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
    `$JS.ACK.${stream}.${consumer}.>`,
  ];
}

/** A user with its permissions in nats-server's configuration language; `password` is written as it stands. */
export function natsUserConfig(user: NatsUser, password: string): string {
  const permissions = JSON.stringify(NATS_PERMISSIONS[user], undefined, 2).replaceAll(/"(\w+)":/g, "$1:");
  return `{ user: ${user}, password: ${password}, permissions: ${permissions} }`;
}
