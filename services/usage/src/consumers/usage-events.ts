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
  readonly requests: Pick<RequestLog, "record" | "recordDenials">;
  readonly retentionDays: number;
  readonly clock: Clock;
}

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
export async function recordEvents(
  { requests, retentionDays, clock }: Recorder,
  events: readonly UsageEvent[],
): Promise<readonly Unrecorded[]> {
  const keptFrom = new Date(clock() - retentionDays * DAY_MS);
  const unrecorded: Unrecorded[] = [];
  const observations = new Map<LoggedRequest, UsageEvent>();
  const denials = new Map<UnloggedDenials, UsageEvent>();
  const tooOld = (field: string): string =>
    `${field}: is more than ${retentionDays} days ago, of which nothing is kept`;
  for (const event of events) {
    if (event.phase.case === "unloggedDenials") {
      const read = fromProtoUnloggedDenials(event.phase.value);
      if ("fault" in read) unrecorded.push(toUnrecorded(event, read.fault));
      else if (read.denials.minute < keptFrom) unrecorded.push(toUnrecorded(event, tooOld("minute")));
      else denials.set(read.denials, event);
      continue;
    }
    const read = fromProtoUsageEvent(event);
    if ("fault" in read) unrecorded.push(toUnrecorded(event, read.fault));
    else if (read.request.createdAt < keptFrom) unrecorded.push(toUnrecorded(event, tooOld("created_at")));
    else observations.set(read.request, event);
  }
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
