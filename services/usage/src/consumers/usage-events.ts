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

/** Where events are recorded, and how old a request may be: what is dropped already would be counted a second time. */
export interface Recorder {
  readonly requests: Pick<RequestLog, "record" | "recordDenials">;
  readonly retentionDays: number;
  readonly clock: Clock;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Handles a batch of events. Resolves once all of it is committed; rejects if the batch must come again. An event that can
 * never be recorded is set aside as a dead letter, so that it does not hold up the others.
 */
export function handleUsageEvents(
  recorder: Recorder,
  deadLetters: Pick<DeadLetterBox, "add">,
  log: Logger,
): (events: readonly UsageEvent[]) => Promise<void> {
  return async (events) => setAside(await recordEvents(recorder, events), deadLetters, log);
}

/** For a message that is no batch of events. */
export function handleUnreadableMessage(
  deadLetters: Pick<DeadLetterBox, "add">,
  log: Logger,
): (payload: Uint8Array) => Promise<void> {
  return (payload) => setAside([{ namespaceId: "", requestId: "", reason: UNREADABLE, payload }], deadLetters, log);
}

export const UNREADABLE = "it is no batch of usage events";

/** Records what can be recorded of a batch. Resolves with what cannot. */
export async function recordEvents(
  { requests, retentionDays: keepDays, clock }: Recorder,
  events: readonly UsageEvent[],
): Promise<readonly Unrecorded[]> {
  const keptFrom = new Date(clock() - keepDays * DAY_MS);
  const unrecorded: Unrecorded[] = [];
  const observations = new Map<LoggedRequest, UsageEvent>();
  const counts = new Map<UnloggedDenials, UsageEvent>();
  const tooOld = (field: string): string => `${field}: is more than ${keepDays} days ago, of which nothing is kept`;
  for (const event of events) {
    if (event.phase.case === "unloggedDenials") {
      const said = fromProtoUnloggedDenials(event.phase.value);
      if ("fault" in said) unrecorded.push(toUnrecorded(event, said.fault));
      else if (said.denials.minute < keptFrom) unrecorded.push(toUnrecorded(event, tooOld("minute")));
      else counts.set(said.denials, event);
      continue;
    }
    const said = fromProtoUsageEvent(event);
    if ("fault" in said) unrecorded.push(toUnrecorded(event, said.fault));
    else if (said.request.createdAt < keptFrom) {
      unrecorded.push(toUnrecorded(event, tooOld("created_at")));
    } else observations.set(said.request, event);
  }
  const refused = (event: UsageEvent | undefined, { cause }: UnstorableError): void => {
    const reason = cause instanceof Error ? cause.message : "the database refuses it";
    if (event !== undefined) unrecorded.push(toUnrecorded(event, reason));
  };
  await recordRequests(requests, [...observations.keys()], (request, fault) =>
    refused(observations.get(request), fault),
  );
  await recordUnloggedDenials(requests, [...counts.keys()], (denials, fault) => refused(counts.get(denials), fault));
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

async function setAside(
  unrecorded: readonly Unrecorded[],
  deadLetters: Pick<DeadLetterBox, "add">,
  log: Logger,
): Promise<void> {
  await deadLetters.add(unrecorded);
  for (const { reason, namespaceId, requestId, payload } of unrecorded) {
    log.error(
      { reason, namespaceId, requestId, bytes: payload.length },
      "a usage event was set aside as a dead letter",
    );
  }
}
