import { setTimeout as delay } from "node:timers/promises";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { UsageService } from "@routeplane/contracts/usage";
import { invalidField, parseId } from "@routeplane/domain";
import { fromPageToken, keyPrincipalOf, toPageToken } from "@routeplane/rpc";
import type { EndPosition, UsageStore } from "../domain/ports.ts";
import { OpenWatches } from "./open-watches.ts";
import { fromProtoFilter, toProtoLoggedRequest } from "./convert-request.ts";

/** Life of a stream. An idle one of a revoked credential is open for as long; no message leaves it, see `authenticateMessages`. */
const LIFE_MS = 5_000;
const POLL_MS = 250;
/** Number of rows in a message: even this many of the largest rows are within the message limit of gRPC clients. */
const PAGE_SIZE = 100;
const LIST = "ended-requests";
const NO_TOKEN = { field: "resume_token", rule: "must be a resume_token of an earlier stream" };

type WatchRequests = ServiceImpl<typeof UsageService>["watchRequests"];

/** Returns the handler of WatchRequests, with a bound of open streams for each key and session. */
export function watchRequests(usage: UsageStore): WatchRequests {
  const watches = new OpenWatches();
  const stream = streamEnded(usage);
  return async function* (request, context: HandlerContext) {
    const close = watches.open(keyPrincipalOf(context), context.signal);
    try {
      yield* stream(request, context);
    } finally {
      close();
    }
  };
}

/** Streams ended requests by polling. It holds one page, and reads the next one only when the caller has taken it. */
function streamEnded(usage: UsageStore): WatchRequests {
  return async function* ({ filter, resumeToken }, context: HandlerContext) {
    const { namespaceId } = keyPrincipalOf(context);
    const selection = fromProtoFilter(filter);
    if (selection.status === "pending")
      throw invalidField("filter.status", "must be another one than PENDING: only requests that have ended are sent");
    const endsAt = performance.now() + LIFE_MS;
    const tokenOf = (position: EndPosition): string => toPageToken(LIST, toEndPositionText(position));
    let after = fromPageToken(LIST, resumeToken, fromEndPositionText, NO_TOKEN) ?? (await usage.endPosition());
    // Tells the caller at once that the stream is open, and its first position.
    yield { requests: [], resumeToken: tokenOf(after) };
    while (!context.signal.aborted && performance.now() < endsAt) {
      const { rows, next } = await usage.listEnded(namespaceId, { after, size: PAGE_SIZE, filter: selection });
      after = next;
      if (rows.length > 0) yield { requests: rows.map(toProtoLoggedRequest), resumeToken: tokenOf(after) };
      if (rows.length < PAGE_SIZE) await delay(POLL_MS, undefined, { signal: context.signal }).catch(() => {});
    }
    yield { requests: [], resumeToken: tokenOf(after) };
  };
}

function toEndPositionText({ transaction, id }: EndPosition): string {
  return `${transaction}.${id ?? ""}`;
}

function fromEndPositionText(text: string): EndPosition | undefined {
  const [, transaction, idText = ""] = /^(\d{1,19})\.(req_\w+)?$/.exec(text) ?? [];
  if (transaction === undefined) return undefined;
  if (idText === "") return { transaction: BigInt(transaction), id: undefined };
  const id = parseId("req", idText);
  return id && { transaction: BigInt(transaction), id };
}
