import {
  DiscardPolicy,
  type JetStreamManager,
  NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "nats";
import type { ConnectionOptions, Session } from "./connection.ts";

export const STREAM = "ROUTEPLANE_USAGE";
export const SUBJECT = "routeplane.usage.v1";

const GIBIBYTE = 1024 ** 3;

/** Error codes of JetStream: no such stream, and a stream with other settings. */
const NO_STREAM = 10_059;
const STREAM_NAME_IN_USE = 10_058;

/** Time within which the server drops a message with a known id. It saves work; correctness does not depend on it. */
export const DUPLICATE_WINDOW_MS = 120_000;

/**
 * Declaration of the stream. Retention by limits, because a work queue forgets the ids of acknowledged messages when the
 * server restarts. A full stream refuses new messages rather than drop old ones. Names only fields that nats-server 2.9
 * knows: it drops others silently.
 */
const DECLARED = {
  name: STREAM,
  subjects: [SUBJECT],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  discard: DiscardPolicy.New,
  max_bytes: GIBIBYTE,
  max_age: nanos(7 * 24 * 60 * 60 * 1000),
  duplicate_window: nanos(DUPLICATE_WINDOW_MS),
} as const satisfies Partial<StreamConfig>;

/**
 * Creates the stream if there is none, which is all that a publisher is permitted to do. One that exists must be as declared.
 *
 * @throws Error that names the differing fields
 */
export async function ensureStream(session: Session, options: ConnectionOptions): Promise<void> {
  const { manager } = session;
  if ((await configOf(manager)) === undefined) await create(manager, declaredFor(options));
  await requireAsDeclared(session, options);
}

/** Creates the stream, or updates it to what is declared here. @throws Error as `ensureStream` */
export async function updateStream(session: Session, options: ConnectionOptions): Promise<void> {
  const { manager } = session;
  if ((await configOf(manager)) === undefined) await create(manager, declaredFor(options));
  else await manager.streams.update(STREAM, declaredFor(options));
  await requireAsDeclared(session, options);
}

function declaredFor({ nats: { replicas } }: ConnectionOptions): Partial<StreamConfig> & { readonly name: string } {
  return replicas === undefined ? DECLARED : { ...DECLARED, num_replicas: replicas };
}

/** Creates the stream. One that another process has created meanwhile is left to the comparison that follows. */
async function create(manager: JetStreamManager, wanted: Partial<StreamConfig> & { readonly name: string }) {
  try {
    await manager.streams.add(wanted);
  } catch (error) {
    if (!(error instanceof NatsError && error.api_error?.err_code === STREAM_NAME_IN_USE)) throw error;
  }
}

async function requireAsDeclared({ manager, connection }: Session, options: ConnectionOptions): Promise<void> {
  const { log } = options;
  const config = await configOf(manager);
  const differing = differences(declaredFor(options), config ?? {});
  if (differing.length > 0) throw new Error(`stream ${STREAM} is not as declared: ${differing.join(", ")}`);
  const version = connection.info?.version ?? "unknown";
  log.info({ version, replicas: config?.num_replicas, durability: durabilityOf(version) }, "nats server");
}

async function configOf(manager: JetStreamManager): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(STREAM)).config;
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

/** Text on the outages that events on a server of this version survive. Clients cannot read when a server syncs its disk. */
function durabilityOf(version: string): string {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  const canSyncAlways = major > 2 || (major === 2 && (minor > 10 || (minor === 10 && patch >= 23)));
  return canSyncAlways
    ? "survives kills of the server; survives power loss only with sync_interval: always or 3 replicas (not told to clients)"
    : "survives kills of the server; the last 2 minutes may be lost with the machine's power (no sync_interval before 2.10.23)";
}
