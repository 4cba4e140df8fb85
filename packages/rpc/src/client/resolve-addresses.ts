// The default import, so that a lookup which tests or preloaded modules replace is the one that is called.
import dns from "node:dns";
import { isIP } from "node:net";

/** Returns the IP addresses of a host name, or rejects. */
export type ResolveAddresses = (hostname: string) => Promise<readonly string[]>;

/**
 * Resolves a host name as the operating system does: `/etc/hosts`, search domains, then DNS, with every address that it has. An IP address
 * resolves to itself. Only the system's resolver bounds the time of a lookup: callers that cannot wait for it must set a limit of their
 * own.
 */
export const resolveAddresses: ResolveAddresses = (hostname) => {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  if (isIP(host) !== 0) return Promise.resolve([host]);
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  dns.lookup(host, { all: true }, (error, found) => {
    if (error !== null) reject(error);
    else resolve([...new Set(found.map(({ address }) => address))]);
  });
  return promise;
};
