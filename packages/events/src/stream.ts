import {
  DiscardPolicy,
  type JetStreamManager,
  NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from "nats";
import type { Condition } from "@routeplane/runtime";
import type { ConnectionOptions, Session } from "./connection.ts";
import type { StreamSettings } from "./settings.ts";

/** Stream and subject of releases without partitions. Their gateways publish to it; this release drains it and never creates it. */
export const UNPARTITIONED = { stream: "ROUTEPLANE_USAGE", subject: "routeplane.usage.v1" } as const;

/** Error codes of JetStream: no such stream, a stream with other settings, a subject of another stream. */
const NO_STREAM = 10_059;
const STREAM_NAME_IN_USE = 10_058;
const SUBJECTS_OVERLAP = 10_065;

/** Time within which the server drops a message with a known id. It saves work; correctness does not depend on it. */
export const DUPLICATE_WINDOW_MS = 120_000;

export interface StreamOptions extends ConnectionOptions {
  readonly settings: StreamSettings;
  /**
   * Resolves to the id of the installation, which the stream is marked with: a stream of another installation is refused. Undefined if the
   * id cannot be known yet; the mark is not checked then.
   */
  readonly installation: () => Promise<string | undefined>;
  /** Readiness condition that is not met while the stream belongs to another installation, and has never belonged to this one. */
  readonly ownStream?: Condition;
}

/** Name and subjects of the stream as it is at the server. */
export interface StreamLayout {
  readonly stream: string;
  /** Subject of each partition. */
  readonly subjects: readonly string[];
}

/** Error of a stream that another installation uses. */
export class ForeignStream extends Error {
  override readonly name = "ForeignStream";
}

/**
 * Fields that every stream has. Retention by limits, because a work queue forgets the ids of acknowledged messages when the
 * server restarts. A full stream refuses new messages rather than drop old ones. Names only fields that nats-server 2.9
 * knows: it drops others silently.
 */
const FIXED = {
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  discard: DiscardPolicy.New,
} as const satisfies Partial<StreamConfig>;

/**
 * Creates the stream if there is none, which is all that a publisher is permitted to do. One that exists must be of this
 * installation; its bounds are the consumer's to declare.
 *
 * @throws ForeignStream
 * @throws Error that names the differing fields
 */
export async function ensureStream(session: Session, options: StreamOptions): Promise<StreamLayout> {
  const { manager } = session;
  const { stream } = options.settings;
  const installation = await options.installation();
  const found = await infoOf(manager, stream);
  if (found === undefined) await create(manager, declared(options, installation));
  return verified(session, options, installation, FIXED);
}

/** Creates the stream, or updates it to what is declared here. @throws Error as `ensureStream` */
export async function updateStream(session: Session, options: StreamOptions): Promise<StreamLayout> {
  const { manager } = session;
  const { stream } = options.settings;
  const installation = await options.installation();
  const wanted = declared(options, installation);
  // A gateway may create it first, with bounds of its own.
  if ((await infoOf(manager, stream)) === undefined) await create(manager, wanted);
  const found = await manager.streams.info(stream);
  requireOwn(found.config, installation);
  const adapted = withoutLoss(wanted, found, options);
  if (differences(adapted, found.config).length > 0) await manager.streams.update(stream, adapted);
  return verified(session, options, installation, adapted);
}

/** Returns a function that declares the stream as `declare` does, and sets the condition `ownStream` by the result. */
export function watchOwner<Declared>(
  { ownStream }: StreamOptions,
  declare: (session: Session) => Promise<Declared>,
): (session: Session) => Promise<Declared> {
  let wasOwn = false;
  ownStream?.pass();
  return async (session) => {
    try {
      const declared = await declare(session);
      wasOwn = true;
      ownStream?.pass();
      return declared;
    } catch (error) {
      if (!wasOwn && error instanceof ForeignStream) ownStream?.fail(error.message);
      throw error;
    }
  };
}

/** Reads the layout of a stream, whichever installation uses it. @throws Error if there is none */
export async function readLayout({ manager }: Session, { stream }: StreamSettings): Promise<StreamLayout> {
  const { config } = await manager.streams.info(stream);
  return { stream, subjects: config.subjects };
}

/** Reads the state of a stream; undefined if there is none. */
export async function infoOf(manager: JetStreamManager, stream: string): Promise<StreamInfo | undefined> {
  try {
    return await manager.streams.info(stream);
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === NO_STREAM) return undefined;
    throw error;
  }
}

/** Names the fields whose value at the server differs from the declared one, with the server's value. */
export function differences(declared: object, actual: object): string[] {
  const actualValues = new Map<string, unknown>(Object.entries(actual));
  return Object.entries(declared)
    .filter(([field, value]) => JSON.stringify(actualValues.get(field)) !== JSON.stringify(value))
    .map(([field]) => `${field} is ${JSON.stringify(actualValues.get(field))}`);
}

function declared({ settings, nats }: StreamOptions, installation: string | undefined) {
  const { stream, partitions, maxBytes, maxAgeMs, replicas = nats.replicas } = settings;
  return {
    ...FIXED,
    name: stream,
    ...(installation === undefined ? {} : { description: `${DESCRIPTION} ${installation}` }),
    subjects: Array.from({ length: partitions }, (_, partition) => subjectOf(settings, partition)),
    max_bytes: maxBytes,
    max_age: nanos(maxAgeMs),
    duplicate_window: nanos(DUPLICATE_WINDOW_MS),
    ...(replicas === undefined ? {} : { num_replicas: replicas }),
  } satisfies Partial<StreamConfig>;
}

function subjectOf({ subjectPrefix }: StreamSettings, partition: number): string {
  return `${subjectPrefix}.v2.${partition}`;
}

/**
 * Returns a declaration that loses nothing of an existing stream: partitions are kept, and so is a bound whose new value would drop stored
 * messages.
 */
function withoutLoss(
  wanted: ReturnType<typeof declared>,
  { config, state }: StreamInfo,
  { settings, log }: StreamOptions,
): ReturnType<typeof declared> {
  const more = config.subjects.slice(wanted.subjects.length);
  const isOwnSubject = (subject: string, index: number): boolean =>
    subject === subjectOf(settings, wanted.subjects.length + index);
  const oldestAgeMs = state.messages === 0 ? 0 : Date.now() - Date.parse(state.first_ts);
  const keepsBytes = state.bytes > wanted.max_bytes;
  const keepsAge = nanos(oldestAgeMs) > wanted.max_age;
  if (keepsBytes || keepsAge) {
    log.warn(
      { bytes: state.bytes, oldestMs: oldestAgeMs },
      "stream bounds not changed: it holds messages beyond the new ones",
    );
  }
  return {
    ...wanted,
    subjects: more.every(isOwnSubject) ? [...wanted.subjects, ...more] : wanted.subjects,
    max_bytes: keepsBytes ? config.max_bytes : wanted.max_bytes,
    max_age: keepsAge ? config.max_age : wanted.max_age,
  };
}

/** Creates the stream. One that another process has created meanwhile is left to the comparison that follows. */
async function create(manager: JetStreamManager, wanted: ReturnType<typeof declared>): Promise<void> {
  try {
    await manager.streams.add(wanted);
  } catch (error) {
    const code = error instanceof NatsError ? error.api_error?.err_code : undefined;
    if (code === SUBJECTS_OVERLAP) {
      throw new ForeignStream(
        `another stream than ${wanted.name} has the subjects ${wanted.subjects[0]} and following: ` +
          "set ROUTEPLANE_NATS_SUBJECT_PREFIX, or ROUTEPLANE_NATS_STREAM to its name",
        { cause: error },
      );
    }
    if (code !== STREAM_NAME_IN_USE) throw error;
  }
}

/** Compares the stream with what must be, and logs the server. @throws Error as `ensureStream` */
async function verified(
  { manager, connection }: Session,
  { settings, log }: StreamOptions,
  installation: string | undefined,
  required: object,
): Promise<StreamLayout> {
  const { config } = await manager.streams.info(settings.stream);
  requireOwn(config, installation);
  const differing = differences(required, config);
  const isPartition = (subject: string, partition: number): boolean => subject === subjectOf(settings, partition);
  if (config.subjects.length === 0 || !config.subjects.every(isPartition))
    differing.push(`subjects is ${JSON.stringify(config.subjects)}`);
  if (differing.length > 0) throw new Error(`stream ${settings.stream} is not as declared: ${differing.join(", ")}`);
  const version = connection.info?.version ?? "unknown";
  log.info(
    {
      version,
      stream: config.name,
      partitions: config.subjects.length,
      maxBytes: config.max_bytes,
      replicas: config.num_replicas,
      durability: durabilityOf(version),
    },
    "connected to NATS",
  );
  return { stream: config.name, subjects: config.subjects };
}

const DESCRIPTION = "Usage events of the Routeplane installation";
const MARK = new RegExp(`${DESCRIPTION} ([0-9a-f-]{36})`);

/** @throws ForeignStream if the stream is marked with another installation. One without a mark is taken over. */
function requireOwn({ name, description = "" }: StreamConfig, installation: string | undefined): void {
  const owner = MARK.exec(description)?.[1];
  if (owner === undefined || installation === undefined || owner === installation) return;
  throw new ForeignStream(
    `stream ${name} belongs to another installation (${owner}; this one is ${installation}): set ROUTEPLANE_NATS_STREAM ` +
      "and ROUTEPLANE_NATS_SUBJECT_PREFIX to names of its own in every gateway and aggregator of this one",
  );
}

/** Text on the outages that events on a server of this version survive. Clients cannot read when a server syncs its disk. */
function durabilityOf(version: string): string {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  const canSyncAlways = major > 2 || (major === 2 && (minor > 10 || (minor === 10 && patch >= 23)));
  return canSyncAlways
    ? "survives kills of the server; survives power loss only with sync_interval: always or 3 replicas (not told to clients)"
    : "survives kills of the server; the last 2 minutes may be lost with the machine's power (no sync_interval before 2.10.23)";
}
