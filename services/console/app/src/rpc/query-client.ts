import { Code, ConnectError } from "@connectrpc/connect";
import { QueryCache, QueryClient } from "@tanstack/react-query";
import { reportSessionEnd } from "../session/session-end.ts";

/** Attempts of a read that failed because a service was not available. Errors that another attempt cannot change have one. */
const ATTEMPTS = 3;
/** Age at which a page that is opened again reads anew. Milliseconds. */
const STALE_MS = 10_000;

/** Cache of reads. A read that the session's end refused ends the session in the page as well. */
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
  return failures + 1 < ATTEMPTS && ConnectError.from(error).code === Code.Unavailable;
}

function endSessionIfRefused(error: Error): void {
  if (ConnectError.from(error).code === Code.Unauthenticated) reportSessionEnd();
}
