import { Code, type ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import { CALL_TIMEOUT_MS, MAX_RESPONSE_BYTES } from "./client.ts";
import { CliError, ExitCode } from "./errors.ts";

/** Error for the user from a failed call: the refusal of the node, or the reason for which no node answered. */
export function fromConnectError(error: ConnectError, url: string): CliError {
  const info = error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === "routeplane");
  if (info === undefined) return withoutNodeAnswer(error, url);
  const fields = error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) => fieldViolations.map(({ field, description }) => ({ field, rule: description })));
  const hint = hintFor(info.reason, info.metadata);
  const requestId = error.metadata.get("x-request-id");
  const isDenied = error.code === Code.Unauthenticated || error.code === Code.PermissionDenied;
  return new CliError(
    isDenied ? ExitCode.denied : ExitCode.failed,
    codeName(error.code),
    info.reason,
    error.rawMessage,
    {
      fields,
      metadata: info.metadata,
      ...(hint === undefined ? {} : { hint }),
      ...(requestId === null ? {} : { requestId }),
    },
  );
}

const SIGN_IN = "Sign in with a key that is valid: `routeplane cloud login --api-key -`, or set ROUTEPLANE_API_KEY.";

/** Advice on what to do next. `metadata` is that of the error. */
function hintFor(reason: string, metadata: Readonly<Record<string, string>>): string | undefined {
  switch (reason) {
    case "CREDENTIAL_MISSING":
    case "CREDENTIAL_INVALID":
    case "CREDENTIAL_REVOKED":
    case "CREDENTIAL_EXPIRED":
      return SIGN_IN;
    case "SCOPE_MISSING":
      return `Use a credential that holds ${metadata["scope"] ?? "the scope"}; \`routeplane cloud whoami\` shows what yours holds.`;
    case "CREDENTIAL_REPLACED":
      return "Use the token that the rotation printed: `routeplane cloud login --api-key -` saves it.";
    case "NAMESPACE_SUSPENDED":
    case "NAMESPACE_DELETED":
      return "Ask the operator: `routeplane cloud namespace resume` or `restore` brings it back.";
    case "OPERATOR_REQUIRED":
      return "Set ROUTEPLANE_OPERATOR_KEY to the operator's token (rpo_…).";
    case "KEY_REQUIRED":
      return "Sign in with a key (rp_…): `routeplane cloud login --api-key -`, or set ROUTEPLANE_API_KEY.";
    case "SERVICE_REQUIRED":
      return "Mint a service credential: `routeplane admin service-credentials mint`.";
    case "SESSION_CREDENTIAL_REFUSED":
      return "A session is for the console. Use a key (rp_…) or an operator credential (rpo_…): `routeplane cloud login --api-key -`.";
    case "SCOPE_EXCEEDS_PARENT":
      return "A credential mints at most what it holds itself; `routeplane cloud whoami` shows its scopes. Leave the others out.";
    case "EXPIRY_EXCEEDS_PARENT":
      return `A credential expires no later than its parent. Latest allowed: ${metadata["expires_at"] ?? "the parent's expiry"}.`;
    case "LIMIT_EXCEEDS_PARENT":
      return "The limits of a key cannot exceed those above it; `routeplane cloud limits` shows the limits of yours.";
    case "KEY_OUT_OF_LINEAGE":
      return "Use a key above it. Any root key of the namespace can also update or revoke it.";
    case "ACCOUNT_LIMITED":
      return "Use an operator credential that is not limited to an account; `routeplane cloud whoami` shows the account of yours.";
    case "OPERATOR_OUT_OF_LINEAGE":
      return "Use the operator credential that minted it, or one above that.";
    case "NAME_AMBIGUOUS":
      return "Give its id; `routeplane cloud namespace list` shows the ids.";
    case "KEY_WIDENED":
      return "Updates only narrow a key. Mint another one with a key that holds these scopes.";
    case "LINEAGE_TOO_DEEP":
      return "Mint it with a credential nearer to the root key.";
    case "ETAG_MISMATCH":
      return "It was changed meanwhile: read it with `get`, and try again with the new etag.";
    case "BINDING_EXISTS":
      return "`routeplane cloud policy bindings <policy-id>` shows it; unbind it to bind in the other mode.";
    case "POLICY_BOUND":
      return "`routeplane cloud policy bindings <policy-id>` shows what it is bound to.";
    case "POLICY_BINDS_CALLER":
    case "POLICY_OUT_OF_LINEAGE":
    case "PRINCIPAL_OUT_OF_LINEAGE":
      return "Use a root key of the namespace.";
    case "LIMIT_REACHED":
      return "Delete or unbind what is no longer needed.";
    case "RESOURCE_NOT_FOUND":
      return "Check the id; the `list` commands show what is in your namespace.";
    case "NAME_TAKEN":
      return "Choose another name, or use the existing resource.";
    case "DEPENDENCY_UNAVAILABLE":
      return "Nothing is wrong with the command; try again in a moment.";
    default:
      return undefined;
  }
}

/** Error for a call without an answer of a node: no connection, a time-out, or an answer of another program. */
function withoutNodeAnswer(error: ConnectError, url: string): CliError {
  if (error.code === Code.DeadlineExceeded) {
    return new CliError(
      ExitCode.failed,
      "deadline_exceeded",
      "DEADLINE_EXCEEDED",
      `no answer from ${url} within ${CALL_TIMEOUT_MS / 1000} s`,
      { hint: "Try again; if it happens again, look at the logs of the node." },
    );
  }
  const { reason, message, hint } = faultWithoutAnswer(error, url);
  const code = reason === "NODE_UNREACHABLE" ? "unavailable" : codeName(error.code);
  return new CliError(ExitCode.failed, code, reason, message, { hint });
}

interface CallFault {
  readonly reason: string;
  readonly message: string;
  readonly hint: string;
}

/** Codes of Node.js for a host that cannot be reached, or on which no program listens. */
const UNREACHABLE =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|E(?:HOST|NET)(?:UNREACH|DOWN)|ETIMEDOUT|EADDRNOTAVAIL|EACCES|EINVAL)$/;
const BROKEN_OFF = /^(?:ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET)$/;
/** Codes of Node.js and OpenSSL for a certificate that is not trusted. */
const CERTIFICATE = /^(?:CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA|HOSTNAME_MISMATCH|ERR_TLS_CERT)/;
const TLS = /^(?:EPROTO|ERR_SSL_|ERR_TLS_)/;

/** Finds the fault of a call that no node answered. Only a network fault is reported as a missing node. */
function faultWithoutAnswer(error: ConnectError, url: string): CallFault {
  const code = causeCodeOf(error) ?? "";
  if (UNREACHABLE.test(code)) {
    const hint = "Start a node with `npm start`, or set ROUTEPLANE_URL to the address of a running node.";
    return { reason: "NODE_UNREACHABLE", message: `no node answers at ${url} (${code})`, hint };
  }
  if (BROKEN_OFF.test(code)) {
    const hint =
      "Try again. If it happens again, look at the logs of the node, and check whether the address needs https://.";
    return {
      reason: "NODE_UNREACHABLE",
      message: `the connection to ${url} broke off before the answer (${code})`,
      hint,
    };
  }
  if (CERTIFICATE.test(code)) {
    const hint =
      "Correct the address, or set NODE_EXTRA_CA_CERTS to the file of the authority that signed the certificate.";
    return { reason: "TLS_FAILED", message: `the certificate of ${url} is not trusted (${code})`, hint };
  }
  if (TLS.test(code)) {
    const hint = "Check whether the address starts with http:// or https://.";
    return { reason: "TLS_FAILED", message: `no secure connection to ${url} (${code})`, hint };
  }
  if (error.code === Code.ResourceExhausted && error.rawMessage.includes("readMaxBytes")) {
    const hint = "Ask for less: a shorter time range, fewer groups, or a smaller --limit.";
    const message = `the answer of ${url} is larger than the ${MAX_RESPONSE_BYTES / 1024 ** 2} MiB that are read`;
    return { reason: "ANSWER_TOO_LARGE", message, hint };
  }
  const [, status] = /^HTTP (413|429|431|502|503|504)$/.exec(error.rawMessage) ?? [];
  if (status !== undefined) {
    const hint =
      "The answer does not come from the node. Check the proxy or load balancer in front of it, or try again.";
    return {
      reason: "PROXY_REFUSED",
      message: `the proxy in front of the node at ${url} answered with HTTP ${status}`,
      hint,
    };
  }
  return {
    reason: "ANSWER_UNINTELLIGIBLE",
    message: `the program at ${url} is not a Routeplane node (${error.rawMessage || codeName(error.code)})`,
    hint: "Check the address: ROUTEPLANE_URL, or the url that the last login saved.",
  };
}

/** Error code of Node.js or of the operating system; undefined if the call failed for another reason. */
function causeCodeOf(error: ConnectError): string | undefined {
  for (let cause: unknown = error.cause, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    if ("code" in cause && typeof cause.code === "string" && /^[A-Z0-9_]+$/.test(cause.code)) return cause.code;
  }
  return undefined;
}

/** Name of a code as Connect spells it on the wire, e.g. `permission_denied`. */
function codeName(code: Code): string {
  return (Code[code] ?? "unknown").replace(/(?<=[a-z])[A-Z]/g, "_$&").toLowerCase();
}
