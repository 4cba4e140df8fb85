import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { SessionSchema, type SessionService } from "@routeplane/contracts/auth";
import { type Clock, notFound, requireId } from "@routeplane/domain";
import { credentialPrincipalOf, type PagedList, toProtoPage, toTimestamp } from "@routeplane/rpc";
import { currentOrigin } from "@routeplane/runtime";
import { reachOf } from "../domain/namespaces/account.ts";
import type { SessionStore } from "../domain/ports.ts";
import type { NamedSession } from "../domain/sessions/session.ts";
import type { OpenedSession, SessionLifecycle } from "../domain/sessions/session-lifecycle.ts";
import { sessionCallerOf } from "./caller.ts";
import { fromProtoPage } from "./convert-page.ts";
import { toProtoSession } from "./convert-session.ts";

const LIST: PagedList<NamedSession, typeof SessionSchema> = {
  list: "sessions",
  schema: SessionSchema,
  toProto: toProtoSession,
  positionOf: ({ id }) => id,
};

export interface SessionServiceOptions {
  readonly sessions: SessionStore;
  readonly lifecycle: SessionLifecycle;
  /** Address of the console, as browsers reach it; undefined if it is not known. */
  readonly consoleUrl: string | undefined;
  readonly clock: Clock;
}

export function sessionService({
  sessions,
  lifecycle,
  consoleUrl = "",
  clock,
}: SessionServiceOptions): ServiceImpl<typeof SessionService> {
  return {
    async createSession({ namespace, scopes }, context) {
      const request = { scopes, address: clientAddress() };
      return toProtoOpened(await lifecycle.create(sessionCallerOf(context), namespace, request));
    },

    async exchangeSession({ namespace }, context) {
      return toProtoOpened(await lifecycle.exchange(sessionCallerOf(context), namespace));
    },

    async leaveNamespace({ token, namespace }) {
      return toProtoOpened(await lifecycle.leave(token, namespace));
    },

    async createSignInCode({ namespace }, context) {
      const { code, expiresAt } = await lifecycle.createCode(sessionCallerOf(context), namespace);
      return { code, expiresAt: toTimestamp(expiresAt), consoleUrl };
    },

    async redeemSignInCode({ code }) {
      return toProtoOpened(await lifecycle.redeem(code, clientAddress()));
    },

    async listSessions(request, context) {
      const { view, ofKey } = viewOf(context);
      const liveAt = request.showEnded ? undefined : clock();
      const page = await sessions.list(view, fromProtoPage(LIST.list, "ses", request), { ofKey, liveAt });
      const { messages, nextPageToken } = toProtoPage(page, LIST);
      return { sessions: messages, nextPageToken };
    },

    async getSession({ id }, context) {
      const { view, ofKey } = viewOf(context);
      const session = await sessions.find(view, requireId("ses", id), { ofKey });
      if (session === undefined) throw notFound();
      return { session: toProtoSession(session) };
    },

    async revokeSession({ id }, context) {
      const session = await lifecycle.revoke(sessionCallerOf(context), requireId("ses", id));
      return { session: toProtoSession(session) };
    },

    async endSession(_request, context) {
      return { session: toProtoSession(await lifecycle.end(sessionCallerOf(context))) };
    },
  };
}

/**
 * Sessions that the caller can see: for a root key, all of its namespace; for a sub-key, its own and those of keys below; for an operator,
 * those in its reach.
 */
function viewOf(context: HandlerContext) {
  const principal = credentialPrincipalOf(context);
  if (principal.kind === "operator") return { view: reachOf(principal), ofKey: undefined };
  const { namespaceId, lineage, keyId } = principal;
  return { view: { namespaceId }, ofKey: lineage.length === 1 ? undefined : keyId };
}

function clientAddress(): string {
  return currentOrigin()?.address ?? "";
}

function toProtoOpened({ session, token }: OpenedSession) {
  return { session: toProtoSession(session), token };
}
