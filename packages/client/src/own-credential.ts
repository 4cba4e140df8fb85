import { Code, ConnectError, type Transport } from "@connectrpc/connect";

/** Refusal of the service credential of this process, as the cause of an error. */
export class RefusedCredential extends Error {
  override readonly name = "RefusedCredential";
}

const REFUSALS = new Set([Code.Unauthenticated, Code.PermissionDenied]);

/**
 * Creates a transport to a service whose every refusal concerns the service credential of this process, because results about callers'
 * credentials are data in its responses. A refusal becomes UNAVAILABLE, so that no caller is told that its own credential is wrong.
 */
export function withOwnCredential(transport: Transport): Transport {
  return {
    unary: (...call) => transport.unary(...call).catch(rethrow),
    stream: (...call) => transport.stream(...call).catch(rethrow),
  };
}

function rethrow(error: unknown): never {
  const refusal = refusalIn(error);
  if (refusal === undefined) throw error;
  const refused = new RefusedCredential(refusal.rawMessage, { cause: error });
  throw new ConnectError("the service credential is refused", Code.Unavailable, undefined, undefined, refused);
}

/** Finds the refusal in an error, which the transport may have converted to UNAVAILABLE already. */
function refusalIn(error: unknown): ConnectError | undefined {
  const candidates = error instanceof Error ? [error, error.cause] : [];
  return candidates.find(
    (candidate): candidate is ConnectError => candidate instanceof ConnectError && REFUSALS.has(candidate.code),
  );
}
