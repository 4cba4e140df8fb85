import { toJson } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import type { Logger } from "@routeplane/runtime";
import type { RequestLog } from "../domain/ports.ts";
import { recordAll } from "../domain/recording.ts";
import type { LoggedRequest } from "../domain/request.ts";
import { fromProtoUsageEvent } from "./convert.ts";

/**
 * Handles a batch of events. Resolves once what can be stored is committed; rejects if the batch must come again. An event
 * that can never be stored is logged whole and left out, so that it does not hold up the others.
 */
export function usageEvents(
  requests: Pick<RequestLog, "record">,
  log: Logger,
): (events: readonly UsageEvent[]) => Promise<void> {
  return async (events) => {
    const sources = new Map<LoggedRequest, UsageEvent>();
    for (const event of events) {
      const result = fromProtoUsageEvent(event);
      if ("fault" in result) logDropped(event, result.fault, log);
      else sources.set(result.request, event);
    }
    await recordAll(requests, [...sources.keys()], (request, { cause }) => {
      const event = sources.get(request);
      if (event !== undefined)
        logDropped(event, cause instanceof Error ? cause.message : "refused by the database", log);
    });
  };
}

function logDropped(event: UsageEvent, fault: string, log: Logger): void {
  log.error({ fault, event: toLoggable(event) }, "dropped a usage event");
}

/** A time outside of JSON's calendar, for one, has no JSON form. */
function toLoggable(event: UsageEvent): unknown {
  try {
    return toJson(UsageEventSchema, event);
  } catch {
    return { requestId: event.request?.requestId, namespaceId: event.request?.namespaceId };
  }
}
