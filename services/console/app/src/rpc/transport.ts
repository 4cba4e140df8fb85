import { createConnectTransport } from "@connectrpc/connect-web";

/** Header without which the console refuses a call: no other site can make a browser send it. */
export const CONSOLE_HEADER = { "x-routeplane-console": "1" } as const;

/** Calls the services through the console, which adds the credential of the session. The page never holds a token. */
export const transport = createConnectTransport({
  baseUrl: "/api",
  useBinaryFormat: true,
  defaultTimeoutMs: 30_000,
  interceptors: [
    (next) => (request) => {
      for (const [name, value] of Object.entries(CONSOLE_HEADER)) request.header.set(name, value);
      return next(request);
    },
  ],
});
