import type { CancelSignal } from "./cancel-signal.ts";

/** Reason for which a running request is cancelled. */
export type CancelReason =
  | "client_gone"
  /** The request ran for longer than the gateway lets it: `upstream_timeout`, for the client and in the request log. */
  | "too_long"
  | "stopping"
  /** The admission could not be committed. */
  | "not_durable"
  /** The upstream continued beyond the granted output bound, for which nothing is reserved. */
  | "reservation_exhausted"
  | "api_key_revoked"
  | "api_key_expired"
  | "insufficient_scope"
  /** The verification result of the key was stale for too long. */
  | "dependency_unavailable";

/** Client's side of a request. Writing waits for the client to take the bytes: no buffer grows here. */
export interface Reply {
  /** Aborted when the request is cancelled, by its client or by the gateway; its reason is a `CancelReason`. */
  readonly signal: CancelSignal;
  /** Cancels the request, unless it has ended. */
  cancel(reason: CancelReason): void;
  /** True once the first byte has left. */
  readonly begun: boolean;
  /** Adds headers to the answer, whatever it will be. Before the first byte. */
  announce(headers: Readonly<Record<string, string>>): void;
  begin(status: number, headers: Readonly<Record<string, string>>): void;
  /** Sends bytes. @returns undefined if the connection took them at once. @throws Error if the request was cancelled */
  write(bytes: Uint8Array): Promise<void> | undefined;
  /** Sends the rest. @returns true if the client took all of it; at once if the connection did */
  end(bytes?: Uint8Array): boolean | Promise<boolean>;
}
