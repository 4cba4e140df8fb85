import type { Environment } from "@routeplane/runtime";

/** Names and bounds of the stream of usage events. */
export interface StreamSettings {
  /** Name of the stream. */
  readonly stream: string;
  /** First tokens of every subject. */
  readonly subjectPrefix: string;
  /** Number of partitions of a new stream. An existing stream keeps its partitions, and gets more if this number is higher. */
  readonly partitions: number;
  /** Bytes at which the stream refuses new messages. */
  readonly maxBytes: number;
  /** Age at which messages are dropped, acknowledged or not. */
  readonly maxAgeMs: number;
  /** Number of servers of a cluster that keep the stream; undefined: as the address of NATS says. */
  readonly replicas: number | undefined;
}

const MEBIBYTE = 1024 ** 2;
const HOUR_MS = 60 * 60 * 1000;

const PARTITIONS = { min: 1, max: 64, fallback: 8 };
const BYTES = { min: 16 * MEBIBYTE, max: 16 * 1024 ** 2 * MEBIBYTE, fallback: 1024 * MEBIBYTE };
const AGE_HOURS = { min: 1, max: 24 * 366, fallback: 24 * 7 };
const REPLICAS = "ROUTEPLANE_NATS_REPLICAS";

export const DEFAULT_STREAM_SETTINGS: StreamSettings = {
  stream: "ROUTEPLANE_USAGE_V2",
  subjectPrefix: "routeplane.usage",
  partitions: PARTITIONS.fallback,
  maxBytes: BYTES.fallback,
  maxAgeMs: AGE_HOURS.fallback * HOUR_MS,
  replicas: undefined,
};

/** Reads the settings of the stream from the environment, the same in gateways and aggregators. */
export function readStreamSettings(env: Environment): StreamSettings {
  const { stream, subjectPrefix } = DEFAULT_STREAM_SETTINGS;
  return {
    stream: env.parsed(
      "ROUTEPLANE_NATS_STREAM",
      "must be a name of 1 to 64 letters, digits, - and _",
      matching(/^[\w-]{1,64}$/),
      stream,
    ),
    subjectPrefix: env.parsed(
      "ROUTEPLANE_NATS_SUBJECT_PREFIX",
      "must be words of letters, digits, - and _ with dots between, of at most 128 characters, e.g. acme.usage",
      matching(/^(?=.{1,128}$)[\w-]+(\.[\w-]+)*$/),
      subjectPrefix,
    ),
    partitions: env.integer("ROUTEPLANE_NATS_PARTITIONS", PARTITIONS),
    maxBytes: env.integer("ROUTEPLANE_NATS_MAX_BYTES", BYTES),
    maxAgeMs: env.integer("ROUTEPLANE_NATS_MAX_AGE_HOURS", AGE_HOURS) * HOUR_MS,
    replicas:
      env.optionalText(REPLICAS) === undefined
        ? undefined
        : Number(env.parsed(REPLICAS, "must be 1, 3 or 5", matching(/^[135]$/))),
  };
}

function matching(pattern: RegExp): (text: string) => string | undefined {
  return (text) => (pattern.test(text) ? text : undefined);
}
