import type { PolicySpec } from "@routeplane/policy-spec";
import { ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import { type BudgetWindow } from "@routeplane/admission";
import { VerificationService } from "@routeplane/contracts/auth";
import { Reason } from "@routeplane/contracts/errors";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import {
  SimulationService,
  AdmissionService,
  EffectivePolicyService,
  BudgetAdminService,
  BudgetService,
  GuardrailService,
  PresetService,
  RateLimitService,
  EnforcementService,
  PolicyService,
} from "@routeplane/contracts/policy";
import { mintToken } from "@routeplane/credentials";
import { type Id, newId, notFound } from "@routeplane/domain";
import { type Database, subscribeToChanges, openDatabase } from "@routeplane/postgres";
import { createChangeFeed, toConnectError } from "@routeplane/rpc";
import { createLogger } from "@routeplane/runtime";
import { authorized, cloneDatabase } from "@routeplane/testing";
import { type RawBuilder, sql } from "kysely";
import { expect } from "vitest";
import { wirePolicy } from "../src/app.ts";
import { type Admission, type AdmissionRequest, createAdmission } from "../src/domain/admission/admission.ts";
import type { RequestUsage } from "../src/domain/admission/reservation.ts";
import { type BindingMode, newPolicy } from "../src/domain/policies/policy.ts";
import type { ReservationKey } from "../src/domain/ports.ts";
import { createLedger } from "../src/store/ledger.ts";
import { createPolicyStore } from "../src/store/policy-store.ts";
import type { PolicySchema } from "../src/store/schema.ts";
import { createFakeUsageService } from "./fake-usage-service.ts";

/** The gateway's. */
export const SERVICE_TOKEN = "rps_of-the-gateway";
export const RESERVATION_TTL_MS = 900_000;

/** One output token costs one micro-USD, and input nothing: a reservation in micro-USD is its output bound. */
export const MICRO_PER_TOKEN = { inputPicoUsd: 0n, outputPicoUsd: 1_000_000n };

/** A key as the stand-in for the auth service knows it. */
interface TestKey {
  readonly id: Id<"key">;
  readonly namespaceId: Id<"ns">;
  readonly lineage: readonly Id<"key">[];
  readonly scopes: readonly string[];
  readonly token: string;
}

/** What a budget holds, as the superuser sees it. Nano-USD. */
export interface BudgetTotals {
  readonly limitNano: bigint;
  readonly spentNano: bigint;
  readonly reservedNano: bigint;
}

/**
 * The policy service on a database of its own. Keys are those of a stand-in that answers as the auth service's contract
 * says.
 */
export type PolicyUnderTest = Awaited<ReturnType<typeof startPolicyUnderTest>>;

export async function startPolicyUnderTest() {
  const clone = await cloneDatabase();
  const open = (url: string, maxConnections = 10): Database<PolicySchema> =>
    openDatabase({ url, schema: "policy", applicationName: "policy-test", maxConnections, keepPlans: true });
  const database = open(clone.url("routeplane_policy"));
  const admin = open(clone.adminUrl);
  const opened: { stop(): Promise<void> }[] = [database, admin];
  const auth = authStandIn();
  const usage = createFakeUsageService();
  const logged: string[] = [];
  const log = createLogger("policy", (line) => (logged.push(line), ""), "debug");
  const callerOf = (token: string) => (token === SERVICE_TOKEN ? ("gateway" as const) : undefined);
  const config = { serviceCredentials: { callerOf }, reservationTtlMs: RESERVATION_TTL_MS };
  const wire = (on: Database<PolicySchema>, changes = createChangeFeed()) =>
    wirePolicy({ config, database: on, changes, auth: auth.transport, usage: usage.transport, log, clock: Date.now });
  const serve = (on: Database<PolicySchema>, changes = createChangeFeed()): Transport => {
    const { routes, interceptors } = wire(on, changes);
    return createRouterTransport(routes, { router: { interceptors } });
  };
  const transport = serve(database);
  const policies = createPolicyStore(database);

  const service = {
    ...auth,
    usage,
    database,
    /** What its servers serve. */
    wired: wire(database),
    /** Past row-level security. */
    admin,
    logged,
    transport,
    as: (token: string) => clients(transport, token),
    /** As the holder of a token, for calls that are only known as a method. */
    transportAs: (token: string) => authorized(transport, token),
    asService: (transport: Transport) => authorized(transport, SERVICE_TOKEN),
    admission: createAdmission(createLedger(database), RESERVATION_TTL_MS),
    policies,
    /** The service where Postgres does not listen. */
    withoutDatabase() {
      const nowhere = open("postgres://routeplane_policy@127.0.0.1:1/routeplane");
      opened.push(nowhere);
      const unserved = serve(nowhere);
      return { transport: unserved, as: (token: string) => clients(unserved, token) };
    },
    /** Another process of the service, that follows changes: a transport that calls it as a service. */
    follower(): Transport {
      const own = open(clone.url("routeplane_policy"));
      const changes = createChangeFeed();
      const source = subscribeToChanges({
        url: clone.url("routeplane_policy"),
        schema: "policy",
        listener: changes,
        onLost: () => {},
      });
      opened.push(own, source);
      return authorized(serve(own, changes), SERVICE_TOKEN);
    },
    /** As another replica of the service. */
    replica(): Admission {
      const another = open(clone.url("routeplane_policy"));
      opened.push(another);
      return createAdmission(createLedger(another), RESERVATION_TTL_MS);
    },
    /** A policy bound to a key or, failing that, to the namespace. */
    async bound(namespaceId: Id<"ns">, spec: PolicySpec, keyId?: Id<"key">, mode: BindingMode = "enforce") {
      const policy = newPolicy({ namespaceId, lineage: [] }, `${spec.kind} ${newId("pol")}`, spec, new Date());
      const principal =
        keyId === undefined
          ? ({ type: "namespace", id: namespaceId } as const)
          : ({ type: "api_key", id: keyId } as const);
      const policyId = policy.id;
      const recorded = { createdAt: new Date(), creatorLineage: [], principalLineage: [] };
      const binding = { id: newId("bnd"), namespaceId, policyId, principal, mode, ...recorded };
      await policies.add(policy, [binding]);
      return { policy, binding };
    },
    /** A budget bound to a key or, failing that, to the namespace. */
    budget(namespaceId: Id<"ns">, limitMicroUsd: bigint, keyId?: Id<"key">, window: BudgetWindow = "day") {
      return service.bound(namespaceId, { kind: "budget", window, limitMicroUsd }, keyId);
    },
    /** As the superuser: what time would do, or what should never happen. */
    async tamper(statement: RawBuilder<unknown>): Promise<void> {
      await admin.within({}, (tx) => statement.execute(tx));
    },
    async switchOff(policyId: Id<"pol">): Promise<void> {
      await service.tamper(sql`update policies set disabled_at = now() where id = ${policyId}`);
    },
    /** Leaves a policy that nobody can read. */
    async garble(policyId: Id<"pol">): Promise<void> {
      await service.tamper(sql`update policies set spec = '{"allow_nothing": true}' where id = ${policyId}`);
    },
    /** Closes the connections on which its processes follow changes. @returns how many there were */
    async cutFeeds(): Promise<number> {
      const { rows } = await admin.within({}, (tx) =>
        sql`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'routeplane-policy-changes'`.execute(tx),
      );
      return rows.length;
    },
    /** By binding, in one snapshot. */
    totals: (namespaceId: Id<"ns">) => totals(admin, namespaceId),
    async stop() {
      await Promise.all(opened.map((each) => each.stop()));
      await clone.drop();
    },
  };
  return {
    ...service,
    /** A new namespace, a root key in it, and clients that call with it. */
    tenant(scopes?: readonly string[]) {
      const namespaceId = newId("ns");
      const key = service.key(namespaceId, undefined, scopes);
      return { namespaceId, key, ...service.as(key.token) };
    },
    /** A namespace with a key and one budget on the namespace. */
    async oneBudget(limitMicroUsd: bigint, window: BudgetWindow = "day") {
      const namespaceId = newId("ns");
      const key = service.key(namespaceId);
      const { policy, binding } = await service.budget(namespaceId, limitMicroUsd, undefined, window);
      const total = async () => [...(await service.totals(namespaceId)).values()][0];
      const request = (micro: bigint) => requestOf(namespaceId, key.lineage, micro);
      return { namespaceId, key, budget: policy, binding, total, request };
    },
  };
}

export type Tenant = ReturnType<PolicyUnderTest["tenant"]>;

/** The error of a call that must be refused. */
export async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => expect.fail("was let through"),
    (reason: unknown) => ConnectError.from(reason),
  );
  const info = error.findDetails(ErrorInfoSchema)[0];
  const fields = error
    .findDetails(BadRequestSchema)
    .flatMap((detail) => detail.fieldViolations.map((each) => each.field));
  return { code: error.code, message: error.rawMessage, reason: info?.reason, metadata: info?.metadata, fields };
}

/** A request of so many micro-USD at most, with the key at the end of its lineage. */
export function requestOf(
  namespaceId: Id<"ns">,
  lineage: readonly Id<"key">[],
  micro: bigint,
): AdmissionRequest & ReservationKey {
  const bounds = { inputTokensMax: 0n, outputTokensMax: micro, choices: 1n };
  const keyId = lineage.at(-1) ?? expect.fail("no key");
  const named = { requestId: newId("req"), idempotencyKey: undefined };
  return { namespaceId, keyId, lineage, price: MICRO_PER_TOKEN, ...named, ...bounds };
}

/** What a request used that cost so much. */
export function used(costNano: bigint, tokens = 0n): RequestUsage {
  return { costNano, tokens };
}

async function totals(admin: Database<PolicySchema>, namespaceId: Id<"ns">): Promise<Map<Id<"bnd">, BudgetTotals>> {
  const { rows } = await admin.within({}, (tx) =>
    sql<{ id: Id<"bnd">; limit: bigint; spent: string; reserved: bigint }>`
      select b.id, (p.spec->>'limit_micro_usd')::bigint * 1000 as limit, c.reserved_nano as reserved,
        (select coalesce(sum(each), 0) from unnest(c.spend[3:]) each) as spent
      from bindings b
      join policies p on (p.namespace_id, p.id) = (b.namespace_id, b.policy_id)
      join counters c on (c.namespace_id, c.binding_id) = (b.namespace_id, b.id)
      where b.namespace_id = ${namespaceId}`.execute(tx),
  );
  return new Map(
    rows.map(({ id, limit, spent, reserved }) => [
      id,
      { limitNano: limit, spentNano: BigInt(spent), reservedNano: reserved },
    ]),
  );
}

function authStandIn() {
  const byToken = new Map<string, TestKey>();
  const operators = new Map<string, { operatorId: string; accountId: string; scopes: string[]; lineage: string[] }>();
  const revoked = new Set<string>();
  const down = { value: false };
  const transport = createRouterTransport(({ service }) => {
    service(VerificationService, {
      verifyKey({ token }) {
        if (down.value) throw new Error("the auth service is down");
        if (token.startsWith("rpo_")) return { outcome: { case: "operator", value: operators.get(token) ?? {} } };
        const key = byToken.get(token);
        if (key === undefined) {
          const value = { reason: Reason.CREDENTIAL_INVALID, message: "invalid API key" };
          return { outcome: { case: "refusal", value } };
        }
        const { id: keyId, namespaceId, lineage, scopes } = key;
        const value = { keyId, namespaceId, accountId: newId("acc"), lineage: [...lineage], scopes: [...scopes] };
        return { outcome: { case: "key", value } };
      },
      resolveKey({ namespaceId, keyId }) {
        if (down.value) throw new Error("the auth service is down");
        const key = [...byToken.values()].find((each) => each.id === keyId && each.namespaceId === namespaceId);
        if (key === undefined) throw toConnectError(notFound());
        return { lineage: [...key.lineage], revoked: key.lineage.some((id) => revoked.has(id)) };
      },
    });
  });
  return {
    transport,
    authDown: down,
    revoke: (keyId: Id<"key">) => revoked.add(keyId),
    /** The token of an operator; of the whole node unless it is limited to an account. */
    operator(scopes: string[], accountId: Id<"acc"> | "" = ""): string {
      const [token, operatorId] = [mintToken("operator", "test"), newId("op")];
      operators.set(token, { operatorId, accountId, scopes, lineage: [operatorId] });
      return token;
    },
    key(namespaceId: Id<"ns">, parent?: TestKey, scopes: readonly string[] = ["policy:*"]): TestKey {
      const id = newId("key");
      const key = {
        id,
        namespaceId,
        lineage: [...(parent?.lineage ?? []), id],
        scopes,
        token: mintToken("key", "test"),
      };
      byToken.set(key.token, key);
      return key;
    },
  };
}

function clients(transport: Transport, token: string) {
  const as = authorized(transport, token);
  return {
    budgetAdmin: createClient(BudgetAdminService, as),
    policies: createClient(PolicyService, as),
    budgets: createClient(BudgetService, as),
    guardrails: createClient(GuardrailService, as),
    rateLimits: createClient(RateLimitService, as),
    presets: createClient(PresetService, as),
    admission: createClient(AdmissionService, as),
    enforcement: createClient(EnforcementService, as),
    effective: createClient(EffectivePolicyService, as),
    simulation: createClient(SimulationService, as),
  };
}
