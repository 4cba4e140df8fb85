import type { Transport } from "@connectrpc/connect";
import { ServiceConnection, serviceTransport } from "@routeplane/rpc";
import { constant, type WatchedSecret } from "@routeplane/runtime";
import type { Log } from "./log.ts";
import { withOwnCredential } from "./own-credential.ts";

/** Token, or a function that returns it for each call, so that a token can be replaced without a restart. */
export type Credential = string | (() => string);

export interface ServiceOptions {
  /** Address of the service, e.g. `http://auth:7001`. If the host name has several addresses, calls are spread over all of them. */
  readonly url: string;
  /** Service credential of this process. */
  readonly serviceCredential: Credential;
  /** Certificates in PEM for an `https:` address. Those of Node.js by default. */
  readonly tls?: {
    /** Certificates of the authorities that sign the certificate of the service. */
    readonly ca?: string;
    /** Client certificate, for a service that requests one, and its key. */
    readonly cert?: string;
    readonly key?: string;
  };
  /** Deadline of a call in milliseconds. 4,000 by default. */
  readonly timeoutMs?: number;
  /** Logger of lost and recovered connections, e.g. that of pino, or `console`. None by default. */
  readonly log?: Log;
}

/** Service of the node, with its own connections. */
export interface Service {
  readonly transport: Transport;
  /** Ends every call, and the connections. */
  readonly stop: () => void;
}

export function openService({ url, serviceCredential, tls, timeoutMs, log }: ServiceOptions): Service {
  requireCredential("serviceCredential", serviceCredential);
  requireWholeNumber("timeoutMs", timeoutMs, MAX_TIMEOUT_MS);
  const connectionOptions = {
    url: requireUrl(url),
    ...(log !== undefined && { log }),
    ...(tls !== undefined && {
      tls: {
        certificates: constant({ ca: tls.ca, cert: tls.cert, key: tls.key }),
        requiresClientCertificate: false,
      },
    }),
  };
  const connection = new ServiceConnection(connectionOptions);
  const transport = serviceTransport({
    ...connectionOptions,
    connection,
    serviceToken: watchCredential(serviceCredential),
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
  return { transport: withOwnCredential(transport), stop: () => connection.stop() };
}

/** @throws TypeError for a text that cannot be the address of a node */
export function requireUrl(url: string): string {
  const { protocol } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:")
    throw new TypeError(`url must begin with http: or https:, not ${protocol}`);
  return url.replace(/\/+$/, "");
}

/** @throws TypeError for a credential that is missing, e.g. because an environment variable is not set */
export function requireCredential(option: string, credential: Credential): void {
  if (typeof credential === "function" || (typeof credential === "string" && credential !== "")) return;
  throw new TypeError(`${option} must be a token or a function that returns one, and is missing`);
}

/** Longest time of a timer of Node.js, which ends a longer one at once. */
export const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** @throws RangeError for an option that is no whole number from 0 to a maximum, e.g. because it was read from a text */
export function requireWholeNumber(option: string, value: number | undefined, max: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0 && value <= max)) return;
  throw new RangeError(`${option} must be a whole number from 0 to ${max}, and is ${value}`);
}

function watchCredential(credential: Credential): WatchedSecret {
  if (typeof credential === "string") return constant(credential);
  return {
    get current() {
      return credential();
    },
    onChange: () => () => {},
  };
}
