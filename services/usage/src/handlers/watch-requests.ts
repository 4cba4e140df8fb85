import { setTimeout as delay } from "node:timers/promises";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { UsageService } from "@routeplane/contracts/usage";
import { parseId } from "@routeplane/domain";
import { fromPageToken, keyPrincipalOf, toPageToken } from "@routeplane/rpc";
import type { EndPosition, UsageStore } from "../domain/ports.ts";
import { OpenWatches } from "./open-watches.ts";
import { fromProtoFilter, toProtoLoggedRequest } from "./convert-request.ts";

/** Not longer than a revoked credential may be heeded. */
const LIFE_MS = 5_000;
const POLL_MS = 250;
const PAGE_SIZE = 200;
const LIST = "ended-requests";
const NO_TOKEN = { field: "resume_token", rule: "must be a resume_token of an earlier stream" };

type WatchRequests = ServiceImpl<typeof UsageService>["watchRequests"];

/** Follows the log for a few callers of each credential at a time. */
export function watchRequests(usage: UsageStore): WatchRequests {
  const watches = new OpenWatches();
  const follow = followRequests(usage);
  return async function* (request, context: HandlerContext) {
    const close = watches.open(keyPrincipalOf(context).keyId, context.signal);
    try {
      yield* follow(request, context);
    } finally {
      close();
    }
  };
}

/** Follows the log by asking again and again: it holds one page, and no more is on its way than the caller takes. */
function followRequests(usage: UsageStore): WatchRequests {
  return async function* ({ filter, resumeToken }, context: HandlerContext) {
    const { namespaceId } = keyPrincipalOf(context);
    const endsAt = performance.now() + LIFE_MS;
    const tokenOf = (position: EndPosition): string => toPageToken(LIST, toEndPositionText(position));
    let after = fromPageToken(LIST, resumeToken, fromEndPositionText, NO_TOKEN) ?? (await usage.endPosition());
    // So that whoever watches knows that it does, and from where.
    yield { requests: [], resumeToken: tokenOf(after) };
    while (!context.signal.aborted && performance.now() < endsAt) {
      const page = { after, size: PAGE_SIZE, filter: fromProtoFilter(filter) };
      const { rows, next } = await usage.listEnded(namespaceId, page);
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
