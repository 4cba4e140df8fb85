import { randomUUID } from "node:crypto";
import { isIP } from "node:net";
import { type ContextValues, createContextKey } from "@connectrpc/connect";
import { bearerToken, type ServiceCredentials } from "@routeplane/credentials";
import { CLIENT_ADDRESS, RELAY_CREDENTIAL, REQUEST_ID } from "../headers.ts";

/** Request id and address of a call, as its log line and the audit log have them. */
export interface CallOrigin {
  /** 1 to 64 letters, digits, `_` and `-`. */
  readonly requestId: string;
  /** IP address that the client connected from; empty if it is not known. */
  readonly address: string;
}

/** Address at the other end of the connection, which each server sets. */
export const peerAddressKey = createContextKey("", { description: "address at the other end of the connection" });

const originKey = createContextKey<CallOrigin | undefined>(undefined, {
  description: "request id and address of the call",
});

/** The longest text of an IPv6 address, with a zone. */
const MAX_ADDRESS_LENGTH = 64;

/**
 * Finds a call's origin, once. The headers are trusted only with a service credential, of the caller itself or of the gateway
 * that forwards a client's call; otherwise the origin is the address of the connection and a new request id. Afterwards the
 * request id is in its header, and the headers that only the gateway sends are removed.
 */
export function findCallOrigin(credentials: ServiceCredentials, header: Headers, values: ContextValues): CallOrigin {
  const known = values.get(originKey);
  if (known !== undefined) return known;
  const sent = { requestId: header.get(REQUEST_ID), address: header.get(CLIENT_ADDRESS) };
  const isTold = sent.requestId !== null || sent.address !== null;
  const isTrusted = isTold && isFromService(credentials, header);
  const origin = {
    requestId: (isTrusted && saneRequestId(sent.requestId)) || randomUUID(),
    address: saneAddress(isTrusted && sent.address !== null ? sent.address : values.get(peerAddressKey)),
  };
  header.set(REQUEST_ID, origin.requestId);
  header.delete(CLIENT_ADDRESS);
  header.delete(RELAY_CREDENTIAL);
  values.set(originKey, origin);
  return origin;
}

/** The origin that `findCallOrigin` has found. */
export function callOriginOf(values: ContextValues): CallOrigin {
  const origin = values.get(originKey);
  if (origin === undefined) throw new Error("the call's origin was not found before it was asked for");
  return origin;
}

/** In constant time for whichever token is presented, as `callerOf` is. */
function isFromService(credentials: ServiceCredentials, header: Headers): boolean {
  const relay = header.get(RELAY_CREDENTIAL);
  if (relay !== null) return credentials.callerOf(relay) !== undefined;
  const presented = bearerToken(header.get("authorization"), header.get("x-api-key"));
  return (
    "token" in presented && presented.token.startsWith("rps_") && credentials.callerOf(presented.token) !== undefined
  );
}

function saneRequestId(text: string | null): string | undefined {
  return text !== null && /^[\w-]{1,64}$/.test(text) ? text : undefined;
}

function saneAddress(text: string): string {
  return text.length <= MAX_ADDRESS_LENGTH && isIP(text) !== 0 ? text : "";
}
