import { Code } from "@connectrpc/connect";
import { parseToken } from "@routeplane/credentials";
import { DomainError } from "@routeplane/domain";
import { counter, type Logger } from "@routeplane/runtime";
import type { FailureRate } from "../domain/failure-rate.ts";
import type { SessionAuthority, SessionIdentity, SignInProof } from "../domain/session-authority.ts";
import type { Session } from "../domain/session.ts";
import type { BrowserSession, BrowserSessions } from "./browser-sessions.ts";
import type { Exchange } from "./exchange.ts";
import { methodNotAllowed, Refusal } from "./refusal.ts";
import { readBody } from "./request-body.ts";

const signIns = counter({
  name: "routeplane_console_sign_ins_total",
  help: "Sign-ins by kind (code, token) and outcome (opened, refused, limited, unavailable).",
  labels: ["kind", "outcome"],
});

/** Maximum size of a body, which holds a token or the name of a namespace. */
const MAX_BODY_BYTES = 64 << 10;
const MAX_TEXT_CHARS = 512;

export interface SessionRoutesOptions {
  readonly authority: SessionAuthority;
  readonly sessions: BrowserSessions;
  readonly failures: FailureRate;
  /** Address at which clients call models, for the page's snippets; empty if it is not configured. */
  readonly gatewayUrl: string;
  readonly log: Logger;
}

/** Routes of the browser's session. */
export interface SessionRoutes {
  /** `/session`: read the session, sign in, sign out. */
  readonly session: (exchange: Exchange) => Promise<void>;
  /** `/session/namespace`: switch to another namespace. */
  readonly namespace: (exchange: Exchange) => Promise<void>;
}

export function createSessionRoutes(options: SessionRoutesOptions): SessionRoutes {
  const { authority, sessions, failures, gatewayUrl, log } = options;
  const callerOf = ({ clientAddress: address }: Exchange) => ({ address });

  const describe = async (exchange: Exchange, session: BrowserSession): Promise<void> => {
    await refusing(exchange, session, () => sendSession(exchange, session));
  };

  const sendSession = async (exchange: Exchange, session: Session): Promise<void> => {
    const identity = await authority.identify(session, callerOf(exchange));
    exchange.sendJson(200, toSessionJson(session, identity, gatewayUrl));
  };

  /** Makes a call of the session, and removes the cookie if it is refused. */
  const refusing = async <T>(exchange: Exchange, session: BrowserSession, call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      if (isUnauthenticated(error)) sessions.removeRefused(exchange, session);
      throw error;
    }
  };

  const signIn = async (exchange: Exchange): Promise<void> => {
    const { clientAddress } = exchange;
    const proof = toProof(await readJson(exchange));
    const kind = "code" in proof ? "code" : "token";
    const waitSecs = failures.waitOf(clientAddress);
    if (waitSecs > 0) {
      signIns.inc({ kind, outcome: "limited" });
      const message = `too many sign-ins from this address have failed: try again in ${waitSecs} s`;
      throw new Refusal(429, Code.ResourceExhausted, message, { "retry-after": String(waitSecs) });
    }
    const former = sessions.read(exchange);
    let session: Session;
    const hasNotFailed = failures.begin(clientAddress);
    try {
      requireCredential(proof);
      session = await authority.open(proof, callerOf(exchange));
    } catch (error) {
      const isRefused = error instanceof DomainError && error.code !== "unavailable";
      if (!isRefused) hasNotFailed();
      signIns.inc({ kind, outcome: isRefused ? "refused" : "unavailable" });
      throw error;
    }
    hasNotFailed();
    signIns.inc({ kind, outcome: "opened" });
    // From here on the browser is signed in, even if the next call fails.
    sessions.set(exchange, session);
    if (former !== undefined) await endFormer(exchange, former);
    await sendSession(exchange, session);
  };

  /** Ends the session that the browser had before. If auth does not answer, the session expires by itself. */
  const endFormer = async (exchange: Exchange, former: BrowserSession): Promise<void> => {
    sessions.markReplaced(former);
    await authority.end(former.token, callerOf(exchange)).catch((error: unknown) => {
      log.info({ requestId: exchange.requestId, err: error }, "the former session of a browser was not ended");
    });
  };

  const switchNamespace = async (exchange: Exchange): Promise<void> => {
    const session = sessions.require(exchange);
    const { namespace = "" } = await readJson(exchange);
    if (namespace !== "" && !isText(namespace)) throw badBody("namespace must be a name or an id");
    sessions.markReplaced(session);
    const opened = await refusing(exchange, session, () =>
      authority.exchange(session.token, namespace, callerOf(exchange)),
    );
    sessions.set(exchange, opened);
    await sendSession(exchange, opened);
  };

  const signOut = async (exchange: Exchange): Promise<void> => {
    const session = sessions.read(exchange);
    // This browser is signed out even if the call fails.
    sessions.remove(exchange);
    if (session !== undefined) {
      sessions.markReplaced(session);
      await authority.end(session.token, callerOf(exchange)).catch((error: unknown) => {
        if (!isUnauthenticated(error)) throw error;
      });
    }
    sendNothing(exchange);
  };

  return {
    session: async (exchange) => {
      const { method } = exchange;
      if (method === "GET" || method === "HEAD") return describe(exchange, sessions.require(exchange));
      if (method === "POST") return signIn(exchange);
      if (method === "DELETE") return signOut(exchange);
      throw methodNotAllowed("GET, POST, DELETE");
    },
    namespace: async (exchange) => {
      if (exchange.method !== "POST") throw methodNotAllowed("POST");
      await switchNamespace(exchange);
    },
  };
}

function sendNothing({ response }: Exchange): void {
  response.writeHead(204, { "cache-control": "no-store" }).end();
}

function isUnauthenticated(error: unknown): boolean {
  return error instanceof DomainError && error.code === "unauthenticated";
}

/** Reads a JSON object. @throws Refusal 415, 413, 400 */
async function readJson({ request }: Exchange): Promise<Readonly<Record<string, unknown>>> {
  if (request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase() !== "application/json") {
    throw new Refusal(415, Code.InvalidArgument, "the body must be of type application/json");
  }
  const text = (await readBody(request, MAX_BODY_BYTES)).toString("utf8");
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // The error of JSON.parse is dropped, because it quotes the body.
  }
  throw badBody("the body must be a JSON object");
}

/** @throws Refusal 400 */
function toProof({ code, token }: Readonly<Record<string, unknown>>): SignInProof {
  if (isText(code) && token === undefined) return { code };
  if (isText(token) && code === undefined) return { token: token.trim() };
  throw badBody("the body must have code, or token");
}

/** @throws DomainError UNAUTHENTICATED unless it is an API key or an operator token */
function requireCredential(proof: SignInProof): void {
  if ("code" in proof) return;
  const kind = parseToken(proof.token)?.kind;
  if (kind === "key" || kind === "operator") return;
  throw new DomainError(
    "unauthenticated",
    "CREDENTIAL_INVALID",
    "that is no valid API key (rp_…) or operator token (rpo_…)",
  );
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT_CHARS;
}

function badBody(message: string): Refusal {
  return new Refusal(400, Code.InvalidArgument, message);
}

function toSessionJson(session: Session, identity: SessionIdentity, gatewayUrl: string) {
  return {
    kind: identity.kind,
    namespace_id: session.namespaceId,
    namespace_name: identity.namespaceName,
    namespace_state: identity.namespaceState,
    name: session.name,
    scopes: identity.scopes,
    expires_at: session.expiresAt.toISOString(),
    can_switch: session.canSwitch,
    gateway_url: gatewayUrl,
  };
}
