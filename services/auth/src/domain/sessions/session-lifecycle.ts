import { createHash, randomBytes } from "node:crypto";
import { parseToken, type Peppers } from "@routeplane/credentials";
import { type Clock, DomainError, type Id, notFound } from "@routeplane/domain";
import { type NamespaceView, reachOf } from "../namespaces/account.ts";
import type { NamespaceStore, OperatorStore, SecretStore, SessionOpener, SessionStore } from "../ports.ts";
import { newToken, provesSecret } from "../secret.ts";
import { requireLeavable } from "../verification.ts";
import { requireNamespaceScope } from "./console-key.ts";
import { requireSessionAuthority, type SessionCaller } from "./session-caller.ts";
import {
  endedSession,
  exchangedSession,
  type NamedSession,
  newSession,
  type SessionLineages,
  type SessionRequest,
  sessionRefused,
} from "./session.ts";

/** A session and its new token, which exists nowhere else. */
export interface OpenedSession {
  readonly session: NamedSession;
  readonly token: string;
}

/** A new code for one sign-in, which exists nowhere else. */
export interface SignInCode {
  readonly code: string;
  /** First moment at which it is refused. */
  readonly expiresAt: Date;
}

/** Opening, exchange and end of sessions. */
export interface SessionLifecycle {
  /**
   * @param namespace name or id; empty: that of the calling key, or none
   * @throws DomainError as `newSession` and `SessionStore.open`; NOT_FOUND for a namespace out of reach
   */
  create(caller: SessionCaller, namespace: string, request: SessionRequest): Promise<OpenedSession>;
  /** @throws DomainError as `create` and `exchangedSession` */
  exchange(caller: SessionCaller, namespace: string): Promise<OpenedSession>;
  /**
   * Exchanges the session of `token` even if its namespace was suspended or deleted.
   *
   * @throws DomainError as `exchange` and `requireLeavable`
   */
  leave(token: string, namespace: string): Promise<OpenedSession>;
  /** @throws DomainError as `create` and `SessionStore.addCode` */
  createCode(caller: SessionCaller, namespace: string): Promise<SignInCode>;
  /** @throws DomainError NOT_FOUND for a code that opens no session, whatever the cause; RESOURCE_EXHAUSTED */
  redeem(code: string, address: string): Promise<OpenedSession>;
  /** @throws DomainError NOT_FOUND; PERMISSION_DENIED as `requireSessionAuthority` */
  revoke(caller: SessionCaller, sessionId: Id<"ses">): Promise<NamedSession>;
  /** @throws DomainError FAILED_PRECONDITION for a caller that is not a session */
  end(caller: SessionCaller): Promise<NamedSession>;
}

export interface SessionLifecycleDependencies {
  readonly sessions: SessionStore;
  readonly namespaces: Pick<NamespaceStore, "find">;
  readonly operators: Pick<OperatorStore, "find">;
  readonly secrets: Pick<SecretStore, "findSession">;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

const CODE_MS = 60_000;
const CODE_BYTES = 32;

export function createSessionLifecycle({
  sessions,
  namespaces,
  operators,
  secrets,
  peppers,
  clock,
}: SessionLifecycleDependencies): SessionLifecycle {
  async function requireNamespace(view: NamespaceView, nameOrId: string) {
    const namespace = await namespaces.find(view, nameOrId);
    if (namespace === undefined || namespace.deletedAt !== undefined) throw notFound();
    return { namespaceId: namespace.id, accountId: namespace.accountId };
  }

  /** Converts a caller to the opener of sessions in a namespace. */
  async function openerOf(caller: SessionCaller, nameOrId: string, action: string): Promise<SessionOpener> {
    if (caller.sessionId !== undefined)
      throw sessionRefused(`a session ${action}: use an API key (rp_…) or an operator credential (rpo_…)`);
    if (caller.kind === "key") {
      const { keyId, namespaceId } = caller;
      if (nameOrId !== "") await requireNamespace({ namespaceId }, nameOrId);
      return { kind: "key", keyId, namespaceId };
    }
    const { operatorId, accountId, scopes } = caller;
    if (nameOrId === "") return { kind: "operator", operatorId, accountId, namespace: undefined };
    requireNamespaceScope(scopes);
    return { kind: "operator", operatorId, accountId, namespace: await requireNamespace(reachOf(caller), nameOrId) };
  }

  /** Replaces a session by one of the operator credential that opened it, in another namespace or in none. */
  async function replace(sessionId: Id<"ses">, operatorId: Id<"op"> | undefined, nameOrId: string) {
    const operator = operatorId && (await operators.find({ node: true }, operatorId));
    if (operator === undefined) throw sessionRefused("a key opened this session: it stays in its namespace");
    const { id, accountId } = operator;
    const namespace = nameOrId === "" ? undefined : await requireNamespace(reachOf(operator), nameOrId);
    const { token, secret } = newToken("session", peppers);
    const now = clock();
    const session = await sessions.exchange(sessionId, {
      opener: { kind: "operator", operatorId: id, accountId, namespace },
      secret,
      now,
      build: (lineages, replaced) => exchangedSession(replaced, lineages, now),
    });
    return { session, token };
  }

  return {
    async create(caller, namespace, request) {
      const opener = await openerOf(caller, namespace, "opens no other one");
      const { token, secret } = newToken("session", peppers);
      const now = clock();
      const build = (lineages: SessionLineages) => newSession(lineages, request, now);
      return { session: await sessions.open({ opener, secret, now, build }, caller), token };
    },

    async exchange(caller, nameOrId) {
      const { sessionId } = caller;
      if (sessionId === undefined) throw noSession();
      const operatorId = caller.kind === "key" ? caller.operatorLineage?.at(-1) : caller.operatorId;
      return replace(sessionId, operatorId, nameOrId);
    },

    async leave(text, nameOrId) {
      const token = parseToken(text);
      if (token?.kind !== "session") throw invalidSession();
      const proven = await secrets.findSession(token.lookupId, (secret) => provesSecret(token, secret, peppers));
      if (proven === undefined) throw invalidSession();
      requireLeavable(proven, clock());
      return replace(proven.session.id, proven.session.operatorId, nameOrId);
    },

    async createCode(caller, namespace) {
      const opener = await openerOf(caller, namespace, "makes no sign-in code");
      const now = clock();
      const code = randomBytes(CODE_BYTES).toString("base64url");
      const expiresAt = new Date(now + CODE_MS);
      const request = { scopes: [], address: "" };
      const check = (lineages: SessionLineages) => void newSession(lineages, request, now);
      await sessions.addCode({ opener, now, check, hash: hashOf(code), expiresAt }, caller);
      return { code, expiresAt };
    },

    async redeem(code, address) {
      const { token, secret } = newToken("session", peppers);
      const now = clock();
      const build = (lineages: SessionLineages) => newSession(lineages, { scopes: [], address }, now);
      const session = await sessions.redeem(hashOf(code), { secret, now, build }).catch(hideRefusal);
      if (session === undefined) throw notFound();
      return { session, token };
    },

    async revoke(caller, sessionId) {
      const view = caller.kind === "key" ? { namespaceId: caller.namespaceId } : reachOf(caller);
      const session = await sessions.change(view, sessionId, (before, lineages) => {
        requireSessionAuthority(caller, lineages);
        return endedSession(before, "revocation", clock());
      });
      if (session === undefined) throw notFound();
      return session;
    },

    async end({ sessionId }) {
      if (sessionId === undefined) throw noSession();
      const session = await sessions.change({ node: true }, sessionId, (before) =>
        endedSession(before, "sign_out", clock()),
      );
      if (session === undefined) throw notFound();
      return session;
    },
  };
}

/** SHA-256 of a code. A fast hash is enough, because a code has 256 random bits. */
function hashOf(code: string): Buffer {
  return createHash("sha256").update(code).digest();
}

function invalidSession(): DomainError {
  return new DomainError("unauthenticated", "CREDENTIAL_INVALID", "this is no session (rpw_…)");
}

function noSession(): DomainError {
  const message = "this is about the calling session, and the credential is not a session (rpw_…)";
  return new DomainError("failed_precondition", "STATE_CONFLICT", message);
}

/** Hides that the credential of a code was refused: the code looks unknown. Rethrows quota errors and outages. */
function hideRefusal(error: unknown): undefined {
  const isHidden = error instanceof DomainError && error.code !== "resource_exhausted" && error.code !== "unavailable";
  if (!isHidden) throw error;
}
