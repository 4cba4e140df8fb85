import { once } from "node:events";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";
import { IdentityService, KeyService, SessionSchema, SessionService } from "@routeplane/contracts/auth";
import { UsageService } from "@routeplane/contracts/usage";
import { mintToken } from "@routeplane/credentials";
import { DomainError, newId } from "@routeplane/domain";
import { healthRoutes, type KeyPrincipal } from "@routeplane/rpc";
import { rpcChain, startRpcServer } from "@routeplane/rpc/server";
import { createLogger, currentOrigin } from "@routeplane/runtime";
import { SERVING } from "@routeplane/testing";
import { onTestFinished } from "vitest";

/** Credential of the console at the services. */
export const CONSOLE_TOKEN = "rps_of-the-console";

const SESSION_MS = 12 * 3_600_000;

/** Services behind a console, all in one process, with sessions in memory. */
export interface FakeServices {
  readonly url: string;
  /** API key with which a person signs in. */
  readonly apiKey: string;
  readonly namespaceId: string;
  /** Calls that were served, with their headers and the address of their client. */
  readonly calls: { readonly method: string; readonly header: Headers; readonly address: string | undefined }[];
  /** Tokens of sessions that have not ended. */
  readonly sessions: Map<string, KeyPrincipal>;
  /** Number of running watches. */
  readonly watches: () => number;
  /** Makes a code that can be redeemed once. */
  makeCode(): string;
  /** Suspends the namespaces of all sessions. */
  suspend(): void;
  /** Ends all sessions. */
  revokeAll(): void;
  stop(): Promise<void>;
}

export async function startFakeServices(): Promise<FakeServices> {
  const apiKey = mintToken("key");
  const namespaceId = newId("ns");
  const sessions = new Map<string, KeyPrincipal>();
  const codes = new Set<string>();
  const calls: FakeServices["calls"] = [];
  const suspended = new Set<string>();
  let watches = 0;

  const principalIn = (namespace: string): KeyPrincipal => ({
    kind: "key",
    keyId: newId("key"),
    namespaceId: namespace as KeyPrincipal["namespaceId"],
    accountId: newId("acc"),
    scopes: ["keys:*", "usage:read"],
    lineage: [],
    expiresAt: undefined,
  });
  const principals = new Map([[apiKey, principalIn(namespaceId)]]);
  const openSession = (namespace: string) => {
    const token = mintToken("session");
    const principal = principalIn(namespace);
    sessions.set(token, principal);
    const expiresAt = timestampFromDate(new Date(Date.now() + SESSION_MS));
    const session = create(SessionSchema, {
      id: newId("ses"),
      namespaceId: namespace,
      name: "root",
      canExchange: true,
      expiresAt,
    });
    return { token, session };
  };
  const tokenOf = (header: Headers): string => header.get("authorization")?.replace("Bearer ", "") ?? "";

  const chain = rpcChain({
    log: createLogger("test", (line) => line, "silent"),
    serviceCredentials: { callerOf: (token) => (token === CONSOLE_TOKEN ? "console" : undefined) },
    async verifyToken(token) {
      const principal = principals.get(token) ?? sessions.get(token);
      if (principal === undefined)
        throw new DomainError("unauthenticated", "CREDENTIAL_REVOKED", "the session has ended");
      if (suspended.has(principal.namespaceId))
        throw new DomainError("unauthenticated", "NAMESPACE_SUSPENDED", "the namespace is suspended");
      return principal;
    },
  });
  const routes = (router: ConnectRouter): void => {
    const service = router.service.bind(router);
    healthRoutes(SERVING)(router);
    const seen = (method: string, header: Headers) =>
      void calls.push({ method, header: new Headers(header), address: currentOrigin()?.address });
    service(SessionService, {
      createSession(_, { requestHeader }) {
        seen("CreateSession", requestHeader);
        return openSession(namespaceId);
      },
      redeemSignInCode({ code }, { requestHeader }) {
        seen("RedeemSignInCode", requestHeader);
        if (!codes.delete(code)) throw new DomainError("not_found", "RESOURCE_NOT_FOUND", "not found");
        return openSession(namespaceId);
      },
      exchangeSession({ namespace }, { requestHeader }) {
        sessions.delete(tokenOf(requestHeader));
        return openSession(namespace);
      },
      leaveNamespace({ token, namespace }, { requestHeader }) {
        seen("LeaveNamespace", requestHeader);
        if (!sessions.delete(token)) throw new DomainError("unauthenticated", "CREDENTIAL_REVOKED", "it has ended");
        return openSession(namespace);
      },
      endSession(_, { requestHeader }) {
        sessions.delete(tokenOf(requestHeader));
        return {};
      },
    });
    service(IdentityService, {
      whoAmI: (_, { requestHeader }) => {
        const principal = sessions.get(tokenOf(requestHeader));
        const value = {
          namespaceId: principal?.namespaceId ?? "",
          namespaceName: "default",
          scopes: [...(principal?.scopes ?? [])],
        };
        return { identity: { case: "key" as const, value } };
      },
    });
    service(KeyService, {
      listKeys: (_, { requestHeader }) => (seen("ListKeys", requestHeader), {}),
      getKey: () => {
        throw new DomainError(
          "not_found",
          "RESOURCE_NOT_FOUND",
          "not found: there is no such resource in this namespace",
        );
      },
    });
    service(UsageService, {
      async *watchRequests(_, { signal }) {
        watches++;
        try {
          yield { requests: [{ id: "req_first" }] };
          await once(signal, "abort").catch(() => {});
        } finally {
          watches--;
        }
      },
    });
  };
  const server = await startRpcServer({ host: "127.0.0.1", port: 0, ...chain, routes });
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (!isStopped) await server.stop();
    isStopped = true;
  };
  onTestFinished(stop);
  return {
    url: `http://127.0.0.1:${server.port}`,
    apiKey,
    namespaceId,
    calls,
    sessions,
    watches: () => watches,
    makeCode() {
      const code = `code-${codes.size}-${newId("req")}`;
      codes.add(code);
      return code;
    },
    suspend() {
      for (const { namespaceId: each } of sessions.values()) suspended.add(each);
    },
    revokeAll: () => sessions.clear(),
    stop,
  };
}
