import type { UsageEvent } from "@routeplane/contracts/events";
import type { Clock } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import type { DeadLetterBox, Unrecorded } from "../domain/dead-letters.ts";
import type { RequestLog, UnstorableError } from "../domain/ports.ts";
import { recordRequests, recordUnloggedDenials } from "../domain/recording.ts";
import type { LoggedRequest } from "../domain/request.ts";
import type { UnloggedDenials } from "../domain/unlogged-denials.ts";
import { boundText, fromProtoUnloggedDenials, fromProtoUsageEvent } from "./convert-usage-event.ts";
import { encodeEvent } from "./decode-events.ts";

/** Request log to record in, and its retention: a request whose row was already dropped would be counted again. */
export interface Recorder {
  readonly requests: Pick<RequestLog, "record" | "recordDenials" | "keptFrom">;
  readonly retentionDays: number;
  readonly clock: Clock;
}

/** Age in days up to which no row was ever dropped: the shortest retention. */
const ALWAYS_KEPT_DAYS = 30;
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Returns the handler of event batches. It resolves once a batch is committed, and rejects if the batch must be delivered
 * again. An event that can never be recorded becomes a dead letter, so that it does not block the others.
 */
export function handleUsageEvents(
  recorder: Recorder,
  deadLetters: Pick<DeadLetterBox, "add">,
  log: Logger,
): (events: readonly UsageEvent[]) => Promise<void> {
  return async (events) => storeDeadLetters(await recordEvents(recorder, events), deadLetters, log);
}

/** Returns the handler of messages that are not batches of events: they become dead letters. */
export function handleUnreadableMessage(
  deadLetters: Pick<DeadLetterBox, "add">,
  log: Logger,
): (payload: Uint8Array) => Promise<void> {
  return (payload) =>
    storeDeadLetters([{ namespaceId: "", requestId: "", reason: UNREADABLE, payload }], deadLetters, log);
}

/** Reason of a dead letter whose bytes are not a batch of usage events. */
export const UNREADABLE = "it is no batch of usage events";

/** Records the events of a batch. Resolves with those that can never be recorded. */
export async function recordEvents(recorder: Recorder, events: readonly UsageEvent[]): Promise<readonly Unrecorded[]> {
  const { requests, clock } = recorder;
  const recentFrom = new Date(clock() - ALWAYS_KEPT_DAYS * DAY_MS);
  const unrecorded: Unrecorded[] = [];
  const observations = new Map<LoggedRequest, UsageEvent>();
  const denials = new Map<UnloggedDenials, UsageEvent>();
  const old: OldEvent[] = [];
  const accept = (event: UsageEvent, field: string, time: Date, add: () => void): void => {
    if (time < recentFrom) old.push({ event, field, time, add });
    else add();
  };
  for (const event of events) {
    if (event.phase.case === "unloggedDenials") {
      const read = fromProtoUnloggedDenials(event.phase.value);
      if ("fault" in read) unrecorded.push(toUnrecorded(event, read.fault));
      else accept(event, "minute", read.denials.minute, () => denials.set(read.denials, event));
      continue;
    }
    const read = fromProtoUsageEvent(event);
    if ("fault" in read) unrecorded.push(toUnrecorded(event, read.fault));
    else accept(event, "created_at", read.request.createdAt, () => observations.set(read.request, event));
  }
  if (old.length > 0) unrecorded.push(...(await addKept(recorder, old)));
  const onUnstorable = (event: UsageEvent | undefined, { cause }: UnstorableError): void => {
    const reason = cause instanceof Error ? cause.message : "the database refuses it";
    if (event !== undefined) unrecorded.push(toUnrecorded(event, reason));
  };
  await recordRequests(requests, [...observations.keys()], (request, error) => {
    onUnstorable(observations.get(request), error);
  });
  await recordUnloggedDenials(requests, [...denials.keys()], (counted, error) => {
    onUnstorable(denials.get(counted), error);
  });
  return unrecorded;
}

/** Event of a time whose rows may have been dropped. */
interface OldEvent {
  readonly event: UsageEvent;
  /** Field of its time. */
  readonly field: string;
  readonly time: Date;
  /** Adds the event to those to record. */
  readonly add: () => void;
}

/**
 * Adds the events of times whose rows are kept. Rows may be gone that a longer retention would keep, if it was shorter before.
 *
 * @returns the other events
 */
async function addKept(
  { requests, retentionDays, clock }: Recorder,
  events: readonly OldEvent[],
): Promise<readonly Unrecorded[]> {
  const keptFrom = new Date(clock() - retentionDays * DAY_MS);
  const droppedTo = await requests.keptFrom();
  return events.flatMap(({ event, field, time, add }) => {
    if (time < keptFrom)
      return [toUnrecorded(event, `${field}: is more than ${retentionDays} days ago, of which nothing is kept`)];
    if (time < droppedTo)
      return [toUnrecorded(event, `${field}: is before ${droppedTo.toISOString()}, of which the rows were dropped`)];
    add();
    return [];
  });
}

function toUnrecorded(event: UsageEvent, reason: string): Unrecorded {
  const { case: phase, value } = event.phase;
  const { namespaceId = "", requestId = "" } =
    phase === "unloggedDenials" ? { ...value, requestId: "" } : (event.request ?? {});
  return {
    namespaceId: boundText(namespaceId),
    requestId: boundText(requestId),
    reason: boundText(reason),
    payload: encodeEvent(event),
  };
}

async function storeDeadLetters(
  unrecorded: readonly Unrecorded[],
  deadLetters: Pick<DeadLetterBox, "add">,
  log: Logger,
): Promise<void> {
  await deadLetters.add(unrecorded);
  for (const { reason, namespaceId, requestId, payload } of unrecorded) {
    log.error({ reason, namespaceId, requestId, bytes: payload.length }, "usage event stored as a dead letter");
  }
}
