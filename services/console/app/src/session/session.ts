import { learnNodeTime } from "../format/node-clock.ts";
import { CONSOLE_HEADER } from "../rpc/transport.ts";

/** Session of this browser, as described by the console. It holds no secret. */
export interface Session {
  /** `namespace`: one namespace with a key's scopes; `operator`: the node as an operator credential sees it. */
  readonly kind: "namespace" | "operator";
  /** `ns_…`; empty for an operator session. */
  readonly namespaceId: string;
  /** Name of the namespace; empty without a namespace, and in one that is not active. */
  readonly namespaceName: string;
  /** State of the namespace. Unless it is active, the session can only be exchanged. */
  readonly namespaceState: "active" | "suspended" | "deleted";
  /** Name of the credential that opened it. */
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date;
  /** True if it can be exchanged for a session in another namespace. */
  readonly canSwitch: boolean;
  /** Address at which clients call models; a placeholder if the console does not know it. */
  readonly gatewayUrl: string;
}

/** Refusal of a sign-in or a switch, with the console's message. */
export class SessionError extends Error {}

/** Reads the session of this browser; undefined if it is not signed in. @throws SessionError if the console does not answer */
export async function readSession(signal?: AbortSignal): Promise<Session | undefined> {
  const response = await call("GET", "/session", undefined, signal);
  return response.status === 401 ? undefined : toSession(response);
}

/** Signs in with a sign-in code, an API key or an operator token. None of them is kept in the page. @throws SessionError */
export async function signIn(credential: { readonly code: string } | { readonly token: string }): Promise<Session> {
  return toSession(await call("POST", "/session", credential));
}

/** Exchanges the session for one in another namespace, or for the operator view. @param namespace name or id @throws SessionError */
export async function switchNamespace(namespace: string | undefined): Promise<void> {
  await requireOk(await call("POST", "/session/namespace", namespace === undefined ? {} : { namespace }));
}

/** Ends the session on the node, and removes the cookie. @throws SessionError */
export async function signOut(): Promise<void> {
  await requireOk(await call("DELETE", "/session"));
}

/** Time limits for a read of the session, and for a change, for which the console may make several calls of 10 s. Milliseconds. */
const READ_MS = 15_000;
const CHANGE_MS = 40_000;

async function call(method: string, path: string, body?: object, signal?: AbortSignal): Promise<Response> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), method === "GET" ? READ_MS : CHANGE_MS);
  const init: RequestInit = { method, headers: { ...CONSOLE_HEADER }, signal: stop.signal };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...CONSOLE_HEADER, "content-type": "application/json" };
  }
  if (signal !== undefined) init.signal = AbortSignal.any([signal, stop.signal]);
  return fetch(path, init)
    .catch((error: unknown) => {
      const message = "The console does not answer. Check that the node runs, then try again.";
      throw new SessionError(message, { cause: error });
    })
    .finally(() => clearTimeout(timer));
}

async function toSession(response: Response): Promise<Session> {
  learnNodeTime(response.headers.get("date"));
  await requireOk(response);
  return fromSessionJson(await response.json());
}

async function requireOk(response: Response): Promise<void> {
  if (response.ok) return;
  const text = await response.text();
  throw new SessionError(messageOf(text) ?? `The console answered with status ${response.status}.`);
}

function messageOf(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { readonly message?: unknown };
    return typeof message === "string" && message !== "" ? message : undefined;
  } catch {
    return undefined;
  }
}

function fromSessionJson(json: unknown): Session {
  const fields = json as Readonly<Record<string, unknown>>;
  return {
    kind: fields["kind"] === "operator" ? "operator" : "namespace",
    namespaceId: textOf(fields["namespace_id"]),
    namespaceName: textOf(fields["namespace_name"]),
    namespaceState: stateOf(fields["namespace_state"]),
    name: textOf(fields["name"]),
    scopes: Array.isArray(fields["scopes"]) ? fields["scopes"].map(String) : [],
    expiresAt: new Date(textOf(fields["expires_at"])),
    canSwitch: fields["can_switch"] === true,
    gatewayUrl: textOf(fields["gateway_url"]) || "https://YOUR-GATEWAY",
  };
}

/** State of a namespace; `active` for a console of the previous release, which has sessions in active namespaces only. */
function stateOf(value: unknown): Session["namespaceState"] {
  return value === "suspended" || value === "deleted" ? value : "active";
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
