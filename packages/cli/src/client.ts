import { get as httpGet } from "node:http";
import { get as httpsGet } from "node:https";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
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

/** Clients of the services of a node, at its public address and with one credential. */
export interface NodeClient {
  readonly identity: Client<typeof IdentityService>;
  readonly accounts: Client<typeof AccountService>;
  readonly namespaces: Client<typeof NamespaceService>;
  readonly keys: Client<typeof KeyService>;
  readonly operators: Client<typeof OperatorService>;
  /** Credentials of services that verify and admit, for operators. */
  readonly services: Client<typeof ServiceCredentialService>;
  /** Sessions of people at the console. */
  readonly sessions: Client<typeof SessionService>;
  readonly policies: Client<typeof PolicyService>;
  readonly budgets: Client<typeof BudgetService>;
  /** Budgets of the whole node, for operators. */
  readonly budgetAdmin: Client<typeof BudgetAdminService>;
  readonly guardrails: Client<typeof GuardrailService>;
  readonly rateLimits: Client<typeof RateLimitService>;
  readonly presets: Client<typeof PresetService>;
  readonly effectivePolicy: Client<typeof EffectivePolicyService>;
  readonly simulation: Client<typeof SimulationService>;
  readonly usage: Client<typeof UsageService>;
  /** Usage of the whole node, for operators. */
  readonly usageAdmin: Client<typeof UsageAdminService>;
  /** Audit log of accounts, namespaces, keys and operators. */
  readonly audit: Client<typeof AuditService>;
  /** Audit log of policies and bindings. */
  readonly policyAudit: Client<typeof PolicyAuditService>;
  /** Audit log of dead letters. */
  readonly usageAudit: Client<typeof UsageAuditService>;
}

export interface NodeClientOptions {
  /** Address of the node, without a slash at its end. */
  readonly url: string;
  /** Token that is sent with every call. */
  readonly token: string;
  /** Called once for a call that is still unanswered after 2 s. */
  readonly onSlow: () => void;
}

/** Time limit of each call. */
export const CALL_TIMEOUT_MS = 10_000;
const SLOW_AFTER_MS = 2_000;
/** Maximum size of a response. The largest page of a node is far smaller. */
export const MAX_RESPONSE_BYTES = 16 * 1024 * 1024;

export function createNodeClient({ url, token, onSlow }: NodeClientOptions): NodeClient {
  const transport = createConnectTransport({
    baseUrl: url,
    httpVersion: "1.1",
    useBinaryFormat: true,
    defaultTimeoutMs: CALL_TIMEOUT_MS,
    readMaxBytes: MAX_RESPONSE_BYTES,
    interceptors: [reportSlow(onSlow), authenticate(token)],
  });
  return {
    identity: createClient(IdentityService, transport),
    accounts: createClient(AccountService, transport),
    namespaces: createClient(NamespaceService, transport),
    keys: createClient(KeyService, transport),
    operators: createClient(OperatorService, transport),
    services: createClient(ServiceCredentialService, transport),
    sessions: createClient(SessionService, transport),
    policies: createClient(PolicyService, transport),
    budgets: createClient(BudgetService, transport),
    budgetAdmin: createClient(BudgetAdminService, transport),
    guardrails: createClient(GuardrailService, transport),
    rateLimits: createClient(RateLimitService, transport),
    presets: createClient(PresetService, transport),
    effectivePolicy: createClient(EffectivePolicyService, transport),
    simulation: createClient(SimulationService, transport),
    usage: createClient(UsageService, transport),
    usageAdmin: createClient(UsageAdminService, transport),
    audit: createClient(AuditService, transport),
    policyAudit: createClient(PolicyAuditService, transport),
    usageAudit: createClient(UsageAuditService, transport),
  };
}

function authenticate(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

function reportSlow(onSlow: () => void): Interceptor {
  return (next) => async (request) => {
    const timer = setTimeout(onSlow, SLOW_AFTER_MS);
    try {
      return await next(request);
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Time limit of requests that are not RPCs. */
export const HTTP_TIMEOUT_MS = 5_000;

/** True if the node reports that it can serve requests; false if it does not answer within 5 s. */
export function isNodeHealthy(url: string): Promise<boolean> {
  const get = url.startsWith("https:") ? httpsGet : httpGet;
  return new Promise((resolve) => {
    // Not the option `timeout`, which bounds only the time between two bytes.
    const signal = AbortSignal.timeout(HTTP_TIMEOUT_MS);
    const request = get(`${url}/healthz`, { signal, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("error", () => resolve(false));
    request.on("close", () => resolve(false));
  });
}
