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

/** Calls the services through the console, which adds the credential of the session. The page never holds a token. */
export const transport = createConnectTransport({
  baseUrl: "/api",
  useBinaryFormat: true,
  defaultTimeoutMs: 30_000,
  interceptors: [
    (next) => (request) => {
      for (const [name, value] of Object.entries(CONSOLE_HEADER)) request.header.set(name, value);
      if (pageNamespace !== undefined) request.header.set("x-routeplane-namespace", pageNamespace);
      return next(request);
    },
  ],
});
