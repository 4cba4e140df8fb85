import type { ClientHttp2Stream, ClientSessionRequestOptions, OutgoingHttpHeaders } from "node:http2";
import type { Logger } from "@routeplane/runtime";
import { ServiceSession } from "./service-session.ts";

export interface ServiceConnectionOptions {
  /** Address of the service, which speaks HTTP/2 in clear text, e.g. `http://127.0.0.1:7001`. */
  readonly url: string;
  /** Logger of replaced sessions and of the reasons. None by default. */
  readonly log?: Logger;
}

/**
 * Connection to one service: one HTTP/2 session at a time, opened by the first call and replaced once it is closed, broken or
 * unfit (see `ServiceSession`). Calls that run on a replaced session finish there. Implements `sessionManager` of connect-node.
 */
export class ServiceConnection {
  readonly authority: string;
  readonly #log: Logger | undefined;
  /** Sessions that are not closed yet. */
  readonly #sessions = new Set<ServiceSession>();
  #current: ServiceSession | undefined;

  constructor({ url, log }: ServiceConnectionOptions) {
    this.authority = new URL(url).origin;
    this.#log = log;
  }

  /** Opens a stream. @throws ConnectError UNAVAILABLE if there is no connection within 2 s */
  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions = {},
  ): Promise<ClientHttp2Stream> {
    for (;;) {
      const session = this.#current?.isUsable === true ? this.#current : this.#open();
      await session.connected;
      // It may have been replaced or closed meanwhile.
      if (session.isUsable) return session.request({ ...headers, ":method": method, ":path": path }, options);
    }
  }

  /** Does nothing: part of connect-node's interface. Sessions are kept alive by pings instead. */
  notifyResponseByteRead(): void {}

  /** Ends every call. */
  stop(): void {
    for (const session of this.#sessions) session.destroy("the connection was stopped");
  }

  #open(): ServiceSession {
    const { authority } = this;
    const session = new ServiceSession(authority, ({ reason, isFault }) => {
      this.#log?.[isFault ? "warn" : "debug"]({ service: authority, reason }, "session to a service replaced");
    });
    this.#sessions.add(session);
    session.onClose(() => this.#sessions.delete(session));
    this.#current = session;
    return session;
  }
}
