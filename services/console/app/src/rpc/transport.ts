import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

/** Header without which the console refuses a call: no other site can make a browser send it. */
export const CONSOLE_HEADER = { "x-routeplane-console": "1" } as const;

let pageNamespace: string | undefined;

/**
 * Names the namespace that the page shows, `ns_…` or nothing in none. Calls say so from then on, and the console refuses them once
 * another tab has switched the session to another namespace: nothing is changed there by a page of this one.
 */
export function setPageNamespace(namespaceId: string): void {
  pageNamespace = namespaceId;
}

/** Time within which a service has to answer a read, and any other call: a simulation takes a while. Milliseconds. */
const READ_MS = 10_000;
const CALL_MS = 30_000;

const connect = createConnectTransport({
  baseUrl: "/api",
  useBinaryFormat: true,
  interceptors: [
    (next) => (request) => {
      for (const [name, value] of Object.entries(CONSOLE_HEADER)) request.header.set(name, value);
      if (pageNamespace !== undefined) request.header.set("x-routeplane-namespace", pageNamespace);
      return next(request);
    },
  ],
});

/**
 * Calls the services through the console, which adds the credential of the session. The page never holds a token. A call without an answer
 * fails with DEADLINE_EXCEEDED: a read after 10 s, so that a page does not wait for one service, any other after 30 s.
 */
export const transport: Transport = {
  async unary(method, signal, timeoutMs = /^(get|list)/.test(method.localName) ? READ_MS : CALL_MS, ...rest) {
    try {
      return await connect.unary(method, signal, timeoutMs, ...rest);
    } catch (error) {
      const failure = ConnectError.from(error);
      if (failure.code !== Code.DeadlineExceeded) throw failure;
      const message = `there was no answer within ${timeoutMs / 1_000} s: the service is overloaded or hangs`;
      throw new ConnectError(message, failure.code, failure.metadata, undefined, failure);
    }
  },
  stream: (method, signal, timeoutMs = CALL_MS, ...rest) => connect.stream(method, signal, timeoutMs, ...rest),
};
