import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

/** Header that the console requires of a call, because no other site can make a browser send it. */
export const CONSOLE_HEADER = { "x-routeplane-console": "1" } as const;

let pageNamespace: string | undefined;

/**
 * Sets the namespace that the page shows: `ns_…`, or empty for none. Later calls name it, and the console refuses them once another tab has
 * switched the session, so that this page changes nothing in the other namespace.
 */
export function setPageNamespace(namespaceId: string): void {
  pageNamespace = namespaceId;
}

/** Time limits for a read, and for any other call, e.g. a simulation. Milliseconds. */
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
 * Transport through the console, which adds the credential of the session; the page never holds a token. A call without a response fails
 * with DEADLINE_EXCEEDED: a read after 10 s, so that one service does not block a page, any other after 30 s.
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
