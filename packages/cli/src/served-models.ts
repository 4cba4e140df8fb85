import { HTTP_TIMEOUT_MS, MAX_RESPONSE_BYTES } from "./client.ts";
import { CliError, ExitCode } from "./errors.ts";

/** A model as `GET /v1/models` lists it. */
export interface ServedModel {
  readonly id: string;
  /** Name of its provider. */
  readonly owned_by: string;
  readonly status?: unknown;
  readonly context_tokens?: unknown;
  readonly capabilities?: unknown;
  /** Price of a short input, in pico-USD, with the field names of a receipt. */
  readonly price?: unknown;
  /** Minimum that is reserved for a request. */
  readonly cheapest_request_micro_usd?: unknown;
}

/**
 * Reads the models that the holder of a token may call.
 *
 * @throws CliError SCOPE_MISSING without the scope inference:invoke, CREDENTIAL_INVALID, or without an answer of a node
 */
export async function readServedModels(url: string, token: string): Promise<readonly ServedModel[]> {
  const { status, body } = await getJson(`${url}/v1/models`, token).catch((error: unknown) => {
    throw withoutAnswer(url, error);
  });
  if (status === 200 && isModelList(body)) return body.data;
  throw refusal(url, status, body);
}

async function getJson(url: string, token: string): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(url, {
    headers: { authorization: `Bearer ${token}` },
    redirect: "error",
    signal: AbortSignal.timeout(HTTP_TIMEOUT_MS),
  });
  return { status: response.status, body: parseJson(await readText(response)) };
}

async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_RESPONSE_BYTES) return "";
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isModelList(body: unknown): body is { readonly data: readonly ServedModel[] } {
  if (typeof body !== "object" || body === null || !("data" in body) || !Array.isArray(body.data)) return false;
  return body.data.every(
    (model: Partial<ServedModel>) => typeof model.id === "string" && typeof model.owned_by === "string",
  );
}

/** Error envelope of the gateway, not validated. */
interface Envelope {
  readonly error?: { readonly code?: unknown; readonly message?: unknown; readonly scope?: unknown };
}

/** Reasons of the management API that correspond to error codes of the gateway. */
const REASONS: Readonly<Record<string, readonly [code: string, reason: string]>> = {
  invalid_api_key: ["unauthenticated", "CREDENTIAL_INVALID"],
  insufficient_scope: ["permission_denied", "SCOPE_MISSING"],
};

function refusal(url: string, status: number, body: unknown): CliError {
  const { code, message, scope } = (body as Envelope | undefined)?.error ?? {};
  if (typeof code !== "string" || typeof message !== "string") {
    const words = `the program at ${url} is not a Routeplane node (HTTP ${status} for its models)`;
    return new CliError(ExitCode.failed, "unknown", "ANSWER_UNINTELLIGIBLE", words, {
      hint: "Check the address: ROUTEPLANE_URL, or the url that the last login saved.",
    });
  }
  const known = REASONS[code];
  if (known === undefined) return new CliError(ExitCode.failed, "unavailable", "DEPENDENCY_UNAVAILABLE", message);
  const metadata = typeof scope === "string" ? { metadata: { scope } } : {};
  return new CliError(ExitCode.denied, ...known, message, {
    hint: "`routeplane cloud whoami` shows the key in use and its scopes.",
    ...metadata,
  });
}

function withoutAnswer(url: string, error: unknown): CliError {
  if (error instanceof Error && error.name === "TimeoutError") {
    const message = `no answer from ${url} within ${HTTP_TIMEOUT_MS / 1000} s`;
    return new CliError(ExitCode.failed, "deadline_exceeded", "DEADLINE_EXCEEDED", message, { hint: "Try again." });
  }
  return new CliError(ExitCode.failed, "unavailable", "NODE_UNREACHABLE", `no node answers at ${url}`, {
    hint: "Start a node with `npm start`, or set ROUTEPLANE_URL to the address of a running node.",
  });
}
