import { Code, ConnectError } from "@connectrpc/connect";
import { QueryCache, QueryClient } from "@tanstack/react-query";
import { reportSessionEnd } from "../session/session-end.ts";

/** Maximum number of attempts of a read. */
const ATTEMPTS = 3;
/**
 * Codes after which a read is repeated: a service does not answer, or too many calls of the session are running, e.g. because a browser has
 * opened several pages at once.
 */
const REPEATED: ReadonlySet<Code> = new Set([Code.Unavailable, Code.ResourceExhausted]);
/** Age of data at which a page that is opened reads it again. Milliseconds. */
const STALE_MS = 10_000;

/** Cache of reads. A read that is refused because the session has ended also ends the session in the page. */
export function createQueryClient(): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({ onError: endSessionIfRefused }),
    defaultOptions: {
      queries: { staleTime: STALE_MS, retry: isWorthAnotherAttempt, refetchOnWindowFocus: true },
      mutations: { retry: false, onError: endSessionIfRefused },
    },
  });
}

function isWorthAnotherAttempt(failures: number, error: Error): boolean {
  return failures + 1 < ATTEMPTS && REPEATED.has(ConnectError.from(error).code);
}

function endSessionIfRefused(error: Error): void {
  if (ConnectError.from(error).code === Code.Unauthenticated) reportSessionEnd();
}
