import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { useTransport } from "@connectrpc/connect-query";
import { type RequestFilterSchema, UsageService } from "@routeplane/contracts/usage";
import { useEffect, useState, useSyncExternalStore } from "react";
import { reportSessionEnd } from "../../session/session-end.ts";
import { followRequests, type TailState } from "./follow-requests.ts";
import { addEnded, type LiveRows, NO_ROWS } from "./live-rows.ts";

/** Time after which a stream without messages is closed and resumed. The service ends each stream after 5 seconds. Milliseconds. */
const STREAM_TIMEOUT_MS = 12_000;

/** State of the live tail of a page; `paused` while its tab is hidden. */
export type LiveState = TailState | { readonly at: "off" | "paused" };

interface LiveRequests extends LiveRows {
  readonly state: LiveState;
}

type Filter = MessageInitShape<typeof RequestFilterSchema>;

/**
 * Follows the request log while it is on and the tab is visible.
 *
 * @param filter filter of the log; undefined: off. The tail starts again when another object is given, so keep its identity
 * @param onStart called when the tail starts: the list is then to be read again
 */
export function useLiveRequests(filter: Filter | undefined, onStart: () => void): LiveRequests {
  const transport = useTransport();
  const isVisible = useSyncExternalStore(subscribeToVisibility, () => document.visibilityState === "visible");
  const [live, setLive] = useState<LiveRequests & { readonly filter: Filter | undefined }>({
    ...NO_ROWS,
    state: { at: "off" },
    filter: undefined,
  });

  useEffect(() => {
    // Rows of another filter are dropped; rows of this filter stay while the tab is hidden.
    setLive((current) => {
      const rows = current.filter === filter ? current : NO_ROWS;
      return { rows: rows.rows, isCut: rows.isCut, filter, state: { at: filter === undefined ? "off" : "paused" } };
    });
    if (filter === undefined || !isVisible) return;
    const stop = new AbortController();
    const { watchRequests } = createClient(UsageService, transport);
    void followRequests({
      filter,
      signal: stop.signal,
      watch: (request, signal) => watchRequests(request, { signal, timeoutMs: STREAM_TIMEOUT_MS }),
      onStart: () => {
        setLive((current) => ({ ...current, ...NO_ROWS }));
        onStart();
      },
      onEnded: (requests) => setLive((current) => ({ ...current, ...addEnded(current, requests) })),
      onState: (state) => {
        if (state.at === "failed" && state.error.code === Code.Unauthenticated) reportSessionEnd();
        setLive((current) => (current.state.at === state.at && state.at === "live" ? current : { ...current, state }));
      },
      pause,
    });
    return () => stop.abort();
  }, [filter, isVisible, onStart, transport]);
  return live.filter === filter ? live : { ...NO_ROWS, state: live.state };
}

function subscribeToVisibility(onChange: () => void): () => void {
  document.addEventListener("visibilitychange", onChange);
  return () => document.removeEventListener("visibilitychange", onChange);
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
