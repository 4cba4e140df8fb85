import { randomUUID } from "node:crypto";
import { isIP } from "node:net";
import { type ContextValues, createContextKey } from "@connectrpc/connect";
import { bearerToken, type ServiceCredentials } from "@routeplane/credentials";
import { CLIENT_ADDRESS, RELAY_CREDENTIAL, REQUEST_ID } from "../headers.ts";

/** Context value that each server sets: returns the address at the other end of the connection. */
export const peerAddressKey = createContextKey(() => "", { description: "address at the other end of the connection" });

const originKey = createContextKey<CallOrigin | undefined>(undefined, {
  description: "request id and address of the call",
});

/** The longest text of an IPv6 address, with a zone. */
const MAX_ADDRESS_CHARS = 64;

/** Request id and client address of a call, for its log line and the audit log. */
export class CallOrigin {
  /** 1 to 64 letters, digits, `_` and `-`. */
  readonly requestId: string;
  readonly #sentAddress: string | null;
  readonly #peerAddress: () => string;

  /** @param sentAddress address that a trusted header names; null if there is none */
  constructor(requestId: string, sentAddress: string | null, peerAddress: () => string) {
    this.requestId = requestId;
    this.#sentAddress = sentAddress;
    this.#peerAddress = peerAddress;
  }

  /** IP address from which the client connected; empty if unknown. Determined when it is read: few calls need it. */
  get address(): string {
    return validAddress(this.#sentAddress ?? this.#peerAddress());
  }
}

/**
 * Determines the origin of a call. The headers are trusted only together with a service credential, of the caller itself or of the gateway
 * that relays a client's call; otherwise the origin is the address of the connection and a new request id. Afterwards the request id is in
 * its header, and the headers that only the gateway sends are removed.
 */
export function determineCallOrigin(
  credentials: ServiceCredentials,
  header: Headers,
  peerAddress: () => string,
): CallOrigin {
  const sent = { requestId: header.get(REQUEST_ID), address: header.get(CLIENT_ADDRESS) };
  const hasHeaders = sent.requestId !== null || sent.address !== null;
  const isTrusted = hasHeaders && isFromService(credentials, header);
  const requestId = (isTrusted && validRequestId(sent.requestId)) || randomUUID();
  header.set(REQUEST_ID, requestId);
  header.delete(CLIENT_ADDRESS);
  header.delete(RELAY_CREDENTIAL);
  return new CallOrigin(requestId, isTrusted ? sent.address : null, peerAddress);
}

/** Determines the origin of a call on the Connect server, once: the request gate does, else an interceptor. */
export function findCallOrigin(credentials: ServiceCredentials, header: Headers, values: ContextValues): CallOrigin {
  const existing = values.get(originKey);
  if (existing !== undefined) return existing;
  const origin = determineCallOrigin(credentials, header, values.get(peerAddressKey));
  values.set(originKey, origin);
  return origin;
}

/** Origin of a call, as determined by `findCallOrigin`. */
export function callOriginOf(values: ContextValues): CallOrigin {
  const origin = values.get(originKey);
  if (origin === undefined) throw new Error("findCallOrigin was not called for this call");
  return origin;
}

/** True if the call has a valid service credential. Takes constant time whatever token is presented, as `callerOf` does. */
function isFromService(credentials: ServiceCredentials, header: Headers): boolean {
  const relay = header.get(RELAY_CREDENTIAL);
  if (relay !== null) return credentials.callerOf(relay) !== undefined;
  const presented = bearerToken(header.get("authorization"), header.get("x-api-key"));
  return (
    "token" in presented && presented.token.startsWith("rps_") && credentials.callerOf(presented.token) !== undefined
  );
}

function validRequestId(text: string | null): string | undefined {
  return text !== null && /^[\w-]{1,64}$/.test(text) ? text : undefined;
}

function validAddress(text: string): string {
  return text.length <= MAX_ADDRESS_CHARS && isIP(text) !== 0 ? text : "";
}
