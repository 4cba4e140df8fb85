import { createClient, type Transport } from "@connectrpc/connect";
import { IdentityService, type Session as ProtoSession, SessionService } from "@routeplane/contracts/auth";
import { DomainError } from "@routeplane/domain";
import { CLIENT_ADDRESS, fromConnectError, fromTimestamp, RELAY_CREDENTIAL } from "@routeplane/rpc";
import { currentOf, type WatchedSecret } from "@routeplane/runtime";
import type { Session } from "../domain/session.ts";
import type { NamespaceState, SessionAuthority, SessionCaller } from "../domain/session-authority.ts";

export interface AuthTransports {
  /** Transport with the credential of this process. */
  readonly asConsole: Transport;
  /** Transport without a credential: each call carries the credential of the person who signs in, or of the session. */
  readonly asCaller: Transport;
  /** Credential of this process. It makes auth trust the client address and request id of the calls. */
  readonly serviceToken: string | WatchedSecret;
}

/** Creates the session authority on top of the auth service. */
export function createSessionAuthority({ asConsole, asCaller, serviceToken }: AuthTransports): SessionAuthority {
  const own = createClient(SessionService, asConsole);
  const sessions = createClient(SessionService, asCaller);
  const identity = createClient(IdentityService, asCaller);
  const headersOf = (token: string, { address }: SessionCaller) => ({
    headers: {
      authorization: `Bearer ${token}`,
      [CLIENT_ADDRESS]: address,
      [RELAY_CREDENTIAL]: currentOf(serviceToken),
    },
  });
  return {
    async open(proof, caller) {
      if ("token" in proof)
        return toSession(await sessions.createSession({}, headersOf(proof.token, caller)).catch(fail));
      const options = { headers: { [CLIENT_ADDRESS]: caller.address } };
      return toSession(await own.redeemSignInCode({ code: proof.code }, options).catch(failCode));
    },
    async identify({ token, canSwitch }, caller) {
      const response = await identity.whoAmI({}, headersOf(token, caller)).catch((error: unknown) => {
        const failure = fromConnectError(error, "auth");
        const namespaceState = canSwitch ? CLOSED_STATES[failure.reason] : undefined;
        if (namespaceState === undefined) throw failure;
        return { kind: "namespace", namespaceName: "", namespaceState, scopes: [] } as const;
      });
      if ("kind" in response) return response;
      const { identity: who } = response;
      if (who.case === "key") {
        const { namespaceName, scopes } = who.value;
        return { kind: "namespace", namespaceName, namespaceState: "active", scopes };
      }
      return { kind: "operator", namespaceName: "", namespaceState: "active", scopes: who.value?.scopes ?? [] };
    },
    async exchange(token, namespace, caller) {
      const options = { headers: { [CLIENT_ADDRESS]: caller.address } };
      const leave = async (error: unknown) => {
        const failure = fromConnectError(error, "auth");
        if (CLOSED_STATES[failure.reason] === undefined) throw failure;
        return own.leaveNamespace({ token, namespace }, options).catch(fail);
      };
      return toSession(await sessions.exchangeSession({ namespace }, headersOf(token, caller)).catch(leave));
    },
    async end(token, caller) {
      const end = (ended: string) => sessions.endSession({}, headersOf(ended, caller));
      await end(token).catch(async (error: unknown) => {
        const failure = fromConnectError(error, "auth");
        if (CLOSED_STATES[failure.reason] === undefined) throw failure;
        // It cannot end itself there, and would be valid again once the namespace is: it is replaced by one that can.
        const options = { headers: { [CLIENT_ADDRESS]: caller.address } };
        const replacement = await own.leaveNamespace({ token, namespace: "" }, options).catch((refused: unknown) => {
          const refusal = fromConnectError(refused, "auth");
          throw refusal.code === "permission_denied" ? failure : refusal;
        });
        await end(replacement.token).catch(fail);
      });
    },
  };
}

/** States of a namespace in which its credentials are refused, by the reason of the refusal. */
const CLOSED_STATES: Readonly<Partial<Record<string, NamespaceState>>> = {
  NAMESPACE_SUSPENDED: "suspended",
  NAMESPACE_DELETED: "deleted",
};

/** Converts the response that opens a session; an absent one has expired. */
function toSession({
  session,
  token,
}: {
  readonly session?: ProtoSession | undefined;
  readonly token: string;
}): Session {
  const { namespaceId = "", name = "", canExchange = false, expiresAt } = session ?? {};
  return { token, namespaceId, name, canSwitch: canExchange, expiresAt: fromTimestamp(expiresAt) ?? new Date(0) };
}

function fail(error: unknown): never {
  throw fromConnectError(error, "auth");
}

/** Refuses unknown, used and expired codes with the same error. */
function failCode(error: unknown): never {
  const failure = fromConnectError(error, "auth");
  if (failure.code !== "not_found" && failure.code !== "invalid_argument") throw failure;
  const message =
    "the code of this address is unknown, was used or has expired: `routeplane console` makes another one";
  throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", message, { cause: error });
}
