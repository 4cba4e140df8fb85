import { Code } from "@connectrpc/connect";
import { permits } from "@routeplane/credentials";
import { tokenReplaced } from "@routeplane/domain";
import { createVerifier, type KeyPrincipal, type Principal } from "@routeplane/rpc";
import { type CallHeaders, tokenOf } from "./call-headers.ts";
import { toRouteplaneError } from "./convert-error.ts";
import { RouteplaneError } from "./error.ts";
import { openService, requireWholeNumber, type ServiceOptions } from "./service.ts";

export interface VerifierOptions extends ServiceOptions {
  /** Maximum memory for cached results. 16 MiB by default, which is enough for about 15,000 keys. */
  readonly maxCacheBytes?: number;
}

/** Caller whose API key is currently valid. */
export interface Caller {
  /** `key_…`. */
  readonly keyId: string;
  /** `ns_…`: the only namespace that the key can access. */
  readonly namespaceId: string;
  /** `acc_…` that owns the namespace. */
  readonly accountId: string;
  /** Scopes currently in effect: the scopes of the key that every key above it holds too. */
  readonly scopes: readonly string[];
  /** Ids of the key and its ancestors, from the root key down. */
  readonly lineage: readonly string[];
  /** Time from which the key is refused; undefined: never. */
  readonly expiresAt: Date | undefined;
  /** End of the grace of a token that a rotation replaced: until then it may only invoke and read. Otherwise undefined. */
  readonly graceEndsAt?: Date | undefined;
}

/** Requirement on a caller. */
export interface Requirement {
  /** Scope that the key must hold, e.g. `inference:invoke`. None by default: any valid key. */
  readonly scope?: string;
}

/** Subscription to a caller's API key, for as long as its call runs. */
export interface CallerSubscription extends Disposable {
  readonly caller: Caller;
  /** Aborted once the key is revoked, expires, loses the scope or cannot be verified any more; the reason is a `RouteplaneError`. */
  readonly signal: AbortSignal;
  /** Ends the subscription. */
  readonly release: () => void;
}

/**
 * Verifier of API keys, with the guarantees of the gateway: it makes no call while it is warm, refuses a revoked key within 100 ms
 * at p99, and refuses every key within 5 s of losing the node.
 *
 * Every method rejects with a `RouteplaneError`: UNAUTHENTICATED for a bad key, PERMISSION_DENIED for a missing scope, UNAVAILABLE
 * if keys cannot be verified now.
 */
export interface Verifier extends AsyncDisposable {
  /** Verifies a token. */
  readonly verify: (token: string, requirement?: Requirement) => Promise<Caller>;
  /** Verifies the token in the headers of a call: `Authorization: Bearer …` or `x-api-key`. */
  readonly authenticate: (headers: CallHeaders, requirement?: Requirement) => Promise<Caller>;
  /** Like `authenticate`, and reports the end of the key while a call runs. Release it when the call has ended. */
  readonly subscribe: (headers: CallHeaders, requirement?: Requirement) => Promise<CallerSubscription>;
  /** True while revocations arrive at once. Otherwise every token is verified by call. */
  readonly isLive: () => boolean;
  /** Ends the connections. */
  readonly stop: () => Promise<void>;
}

/** Creates a verifier of API keys over the auth service of a node. */
export function verifier(options: VerifierOptions): Verifier {
  const { log, maxCacheBytes } = options;
  requireWholeNumber("maxCacheBytes", maxCacheBytes, Number.MAX_SAFE_INTEGER);
  const { transport, stop: closeConnections } = openService(options);
  const keys = createVerifier(transport, {
    ...(log !== undefined && { log }),
    ...(maxCacheBytes !== undefined && { maxBytes: maxCacheBytes }),
  });
  const verify = async (token: string, requirement: Requirement = {}): Promise<Caller> => {
    try {
      return requireCaller(await keys.verify(token), requirement);
    } catch (error) {
      throw toRouteplaneError(error);
    }
  };
  const stop = async (): Promise<void> => {
    await keys.stop();
    closeConnections();
  };
  return {
    verify,
    authenticate: async (headers, requirement) => verify(tokenOf(headers), requirement),
    async subscribe(headers, requirement = {}) {
      const token = tokenOf(headers);
      const ending = new AbortController();
      const end = (error: unknown): void => ending.abort(toRouteplaneError(error));
      try {
        const { principal, release } = await keys.subscribe(token, (outcome) => {
          if (outcome instanceof Error) return end(outcome);
          try {
            requireCaller(outcome, requirement);
          } catch (error) {
            end(error);
          }
        });
        try {
          const caller = requireCaller(principal, requirement);
          return { caller, signal: ending.signal, release, [Symbol.dispose]: release };
        } catch (error) {
          release();
          throw error;
        }
      } catch (error) {
        throw toRouteplaneError(error);
      }
    },
    isLive: () => keys.feed.isLive(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** @throws RouteplaneError PERMISSION_DENIED KEY_REQUIRED, SCOPE_MISSING or CREDENTIAL_REPLACED */
function requireCaller(principal: Principal, { scope }: Requirement): Caller {
  if (principal.kind !== "key") {
    const message = "this needs a namespace key (rp_…): an operator credential belongs to no namespace";
    throw new RouteplaneError(Code.PermissionDenied, "KEY_REQUIRED", message);
  }
  if (scope === undefined || permits(principal.scopes, scope)) return frozen(principal);
  const { graceEndsAt } = principal;
  if (graceEndsAt !== undefined) throw toRouteplaneError(tokenReplaced({ kind: "key", graceEndsAt }, scope));
  const message = `this needs the scope ${scope}, which your key does not hold`;
  throw new RouteplaneError(Code.PermissionDenied, "SCOPE_MISSING", message, { info: { scope } });
}

/** Freezes a principal, because the verifier returns the same object for other calls with this token. */
function frozen(principal: KeyPrincipal): Caller {
  Object.freeze(principal.scopes);
  Object.freeze(principal.lineage);
  return Object.freeze(principal);
}
