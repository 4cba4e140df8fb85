import type { Transport } from "@connectrpc/connect";
import { ServiceConnection, serviceTransport } from "@routeplane/rpc";
import { constant, type WatchedSecret } from "@routeplane/runtime";
import type { Log } from "./log.ts";
import { withOwnCredential } from "./own-credential.ts";

/** Token, or a function that is called for it at each call, so that one can replace another without a restart. */
export type Credential = string | (() => string);

export interface ServiceOptions {
  /** Address of the service, e.g. `http://auth:7001`. Its host name may have many addresses: calls are spread over all. */
  readonly url: string;
  /** Service credential of this process. */
  readonly serviceCredential: Credential;
  /** Certificates in PEM for an `https:` address. Those of Node.js by default. */
  readonly tls?: {
    /** Authorities by which the service is verified. */
    readonly ca?: string;
    /** Certificate that is shown to a service which asks for one, and its key. */
    readonly cert?: string;
    readonly key?: string;
  };
  /** Deadline of a call in milliseconds. 4,000 by default. */
  readonly timeoutMs?: number;
  /** Logger of lost and recovered connections, e.g. that of pino, or `console`. None by default. */
  readonly log?: Log;
}

/** A service of the node, over connections of its own. */
export interface Service {
  readonly transport: Transport;
  /** Ends every call, and the connections. */
  readonly stop: () => void;
}

export function openService({ url, serviceCredential, tls, timeoutMs, log }: ServiceOptions): Service {
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

/** @throws TypeError for what is no address of a node */
export function requireUrl(url: string): string {
  const { protocol } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:")
    throw new TypeError(`url must begin with http: or https:, not ${protocol}`);
  return url.replace(/\/+$/, "");
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
