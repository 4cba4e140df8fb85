import { type Client, createClient as createConnectClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import {
  AccountService,
  AuditService,
  IdentityService,
  KeyService,
  NamespaceService,
  OperatorService,
  ServiceCredentialService,
  SessionService,
} from "@routeplane/contracts/auth";
import {
  AuditService as PolicyAuditService,
  BudgetAdminService,
  BudgetService,
  EffectivePolicyService,
  GuardrailService,
  PolicyService,
  PresetService,
  RateLimitService,
  SimulationService,
} from "@routeplane/contracts/policy";
import { AuditService as UsageAuditService, UsageAdminService, UsageService } from "@routeplane/contracts/usage";
import { retryingTransport } from "./retrying-transport.ts";
import { type Credential, MAX_TIMEOUT_MS, requireCredential, requireUrl, requireWholeNumber } from "./service.ts";

/** Management services, by their name in a client. */
const SERVICES = {
  identity: IdentityService,
  accounts: AccountService,
  namespaces: NamespaceService,
  keys: KeyService,
  operators: OperatorService,
  services: ServiceCredentialService,
  sessions: SessionService,
  policies: PolicyService,
  budgets: BudgetService,
  budgetAdmin: BudgetAdminService,
  guardrails: GuardrailService,
  rateLimits: RateLimitService,
  presets: PresetService,
  effectivePolicy: EffectivePolicyService,
  simulation: SimulationService,
  usage: UsageService,
  usageAdmin: UsageAdminService,
  audit: AuditService,
  policyAudit: PolicyAuditService,
  usageAudit: UsageAuditService,
} as const;

/** Client of the management services of a node. A call rejects with a `RouteplaneError`. */
export type RouteplaneClient = { readonly [Name in keyof typeof SERVICES]: Client<(typeof SERVICES)[Name]> };

export interface ClientOptions {
  /** Address of the node, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  /** API key (`rp_…`) or operator credential (`rpo_…`). */
  readonly apiKey: Credential;
  /** Deadline of a call in milliseconds, all attempts included. 10,000 by default; it can be overridden for each call. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
/** Maximum size of a response. The largest page of a node is far smaller. */
const MAX_RESPONSE_BYTES = 16 * 1024 ** 2;

/**
 * Creates a client of the management services of a node, over Connect.
 *
 * A call is retried, at most twice and within its deadline and a retry budget, if that cannot do anything twice: after a refusal for too
 * many calls, when the node could not be reached, and, for an idempotent method, whenever no service answered.
 */
export function createClient({ url, apiKey, timeoutMs = TIMEOUT_MS }: ClientOptions): RouteplaneClient {
  requireCredential("apiKey", apiKey);
  requireWholeNumber("timeoutMs", timeoutMs, MAX_TIMEOUT_MS);
  const connect = createConnectTransport({
    baseUrl: requireUrl(url),
    httpVersion: "1.1",
    useBinaryFormat: true,
    readMaxBytes: MAX_RESPONSE_BYTES,
    interceptors: [authenticate(apiKey)],
  });
  const transport = retryingTransport(connect, timeoutMs);
  const clients = Object.entries(SERVICES).map(([name, service]) => [name, createConnectClient(service, transport)]);
  return Object.fromEntries(clients) as RouteplaneClient;
}

function authenticate(credential: Credential): Interceptor {
  // Asynchronous: if the function of the credential threw within the call, the timer of the deadline would stay.
  return (next) => async (request) => {
    const token = typeof credential === "string" ? credential : credential();
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}
