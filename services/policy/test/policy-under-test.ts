import { ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import { type BudgetWindow } from "@routeplane/admission";
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
  GatewaySessionService,
  PolicyService,
} from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import type { PolicySpec } from "@routeplane/policy-spec";
import { type Database, subscribeToChanges, openDatabase } from "@routeplane/postgres";
import { createChangeFeed } from "@routeplane/rpc";
import { createLogger, Dependencies } from "@routeplane/runtime";
import { authorized, cloneDatabase, SERVING } from "@routeplane/testing";
import { type RawBuilder, sql } from "kysely";
import { expect } from "vitest";
import { wirePolicy } from "../src/app.ts";
import { type Admission, type AdmissionRequest, createAdmission } from "../src/domain/admission/admission.ts";
import type { RequestUsage } from "../src/domain/admission/reservation.ts";
import { type BindingMode, newPolicy } from "../src/domain/policies/policy.ts";
import type { ReservationKey } from "../src/domain/ports.ts";
import { createLedger } from "../src/store/ledger.ts";
import { parseRecall, RECALL_CHANNEL } from "../src/store/recall-channel.ts";
import { createPolicyStore } from "../src/store/policy-store.ts";
import type { PolicySchema } from "../src/store/schema.ts";
import { createFakeAuthService } from "./fake-auth-service.ts";
import { createFakeUsageService } from "./fake-usage-service.ts";

/** Service credential of the gateway. */
export const SERVICE_TOKEN = "rps_of-the-gateway";
export const RESERVATION_TTL_MS = 900_000;

/** One output token costs one micro-USD, and input nothing: a reservation in micro-USD is its output bound. */
export const MICRO_PER_TOKEN = { inputPicoUsd: 0n, outputPicoUsd: 1_000_000n };

/** Amounts of a budget, read as the superuser. Nano-USD. */
export interface BudgetTotals {
  readonly limitNano: bigint;
  readonly spentNano: bigint;
  readonly reservedNano: bigint;
}

/** Policy service on a database of its own, with fakes of the auth and the usage service. */
export type PolicyUnderTest = Awaited<ReturnType<typeof startPolicyUnderTest>>;

export async function startPolicyUnderTest() {
  const clone = await cloneDatabase();
  const open = (url: string, poolSize = 10): Database<PolicySchema> =>
    openDatabase({
      url,
      schema: "policy",
      applicationName: "policy-test",
      poolSize,
      keepPlans: true,
      genericPlans: true,
    });
  const database = open(clone.url("routeplane_policy"));
  const admin = open(clone.adminUrlOf("policy"));
  const opened: { stop(): Promise<void> }[] = [database, admin];
  const auth = createFakeAuthService();
  const usage = createFakeUsageService();
  const logged: string[] = [];
  const log = createLogger("policy", (line) => (logged.push(line), ""), "debug");
  const callerOf = (token: string) => (token === SERVICE_TOKEN ? ("gateway" as const) : undefined);
  const config = { serviceCredentials: { callerOf }, reservationTtlMs: RESERVATION_TTL_MS };
  const wire = (on: Database<PolicySchema>, changes = createChangeFeed()) =>
    wirePolicy({
      ...SERVING,
      config,
      dependencies: new Dependencies([{ name: "postgres", isReachable: () => on.isReachable() }]),
      database: on,
      changes,
      auth: auth.transport,
      usage: usage.transport,
      log,
      clock: Date.now,
    });
  const serve = (on: Database<PolicySchema>, changes = createChangeFeed()): Transport => {
    const { routes, interceptors } = wire(on, changes);
    return createRouterTransport(routes, { router: { interceptors } });
  };
  const transport = serve(database);
  const policies = createPolicyStore(database);
  const wired = wire(database);

  const service = {
    ...auth,
    usage,
    database,
    /** Routes, services and chain of its servers. */
    wired,
    endings: wired.endings,
    /** Address of its database under a role. */
    urlOf: (role: Parameters<typeof clone.url>[0]) => clone.url(role),
    /** Ends sessions as another replica of the service would. */
    anotherEndings: () => wire(database).endings,
    /** Database as the superuser, who bypasses row-level security. */
    admin,
    logged,
    transport,
    as: (token: string) => clients(transport, token),
    /** Transport with a token, for calls by method descriptor. */
    transportAs: (token: string) => authorized(transport, token),
    asService: (transport: Transport) => authorized(transport, SERVICE_TOKEN),
    /** Clients of another process of the service, as the gateway. */
    process() {
      const own = open(clone.url("routeplane_policy"));
      opened.push(own);
      return clients(serve(own), SERVICE_TOKEN);
    },
    admission: createAdmission(createLedger(database), RESERVATION_TTL_MS),
    policies,
    /** Service whose Postgres does not listen. */
    withoutDatabase() {
      const nowhere = open("postgres://routeplane_policy@127.0.0.1:1/routeplane");
      opened.push(nowhere);
      const unserved = serve(nowhere);
      return { transport: unserved, as: (token: string) => clients(unserved, token) };
    },
    /** Starts another process that subscribes to changes, and returns a transport that calls it as a service. */
    subscriber(): Transport {
      const own = open(clone.url("routeplane_policy"));
      const changes = createChangeFeed();
      const source = subscribeToChanges({
        url: clone.url("routeplane_policy"),
        schema: "policy",
        listener: changes,
        second: { channel: RECALL_CHANNEL, onNotification: (payload) => changes.recall(parseRecall(payload)) },
        onLost: () => {},
      });
      opened.push(own, source);
      return authorized(serve(own, changes), SERVICE_TOKEN);
    },
    /** Admission of another replica of the service. */
    replica(): Admission {
      const another = open(clone.url("routeplane_policy"));
      opened.push(another);
      return createAdmission(createLedger(another), RESERVATION_TTL_MS);
    },
    /** Adds a policy bound to a key, by default to the namespace. */
    async bound(namespaceId: Id<"ns">, spec: PolicySpec, keyId?: Id<"key">, mode: BindingMode = "enforce") {
      const policy = newPolicy(
        { namespaceId, lineage: [] },
        { name: `${spec.kind} ${newId("pol")}`, spec },
        0,
        new Date(),
      );
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
    /** Adds a budget bound to a key, by default to the namespace. */
    budget(namespaceId: Id<"ns">, limitMicroUsd: bigint, keyId?: Id<"key">, window: BudgetWindow = "day") {
      return service.bound(namespaceId, { kind: "budget", window, limitMicroUsd }, keyId);
    },
    /** Runs a statement as the superuser, to do what time would do or what should never happen. */
    async tamper(statement: RawBuilder<unknown>): Promise<void> {
      await admin.within({}, (tx) => statement.execute(tx));
    },
    async disable(policyId: Id<"pol">): Promise<void> {
      await service.tamper(sql`update policies set disabled_at = now() where id = ${policyId}`);
    },
    /** Makes the stored spec of a policy unreadable. @returns function that restores it */
    async corrupt(policyId: Id<"pol">): Promise<() => Promise<void>> {
      const setSpec = (spec: RawBuilder<unknown>): Promise<void> =>
        service.tamper(sql`update policies set spec = ${spec} where id = ${policyId}`);
      await setSpec(sql`jsonb_build_object('allow_nothing', spec)`);
      return () => setSpec(sql`spec->'allow_nothing'`);
    },
    /** Terminates the connections on which its processes listen for changes. @returns their number */
    async terminateSubscriptions(): Promise<number> {
      const { rows } = await admin.within({}, (tx) =>
        sql`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'routeplane-policy-changes'`.execute(tx),
      );
      return rows.length;
    },
    /** Budgets of a namespace by binding, in one snapshot. */
    totals: (namespaceId: Id<"ns">) => totals(admin, namespaceId),
    async stop() {
      await Promise.all(opened.map((each) => each.stop()));
      await clone.drop();
    },
  };
  return {
    ...service,
    /** Adds a namespace with a root key, and returns clients that call with it. */
    newNamespace(scopes?: readonly string[]) {
      const namespaceId = newId("ns");
      const key = service.key(namespaceId, undefined, scopes);
      return { namespaceId, key, ...service.as(key.token) };
    },
    /** Adds a namespace with a key and one budget on the namespace. */
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

export type TestNamespace = ReturnType<PolicyUnderTest["newNamespace"]>;

/** Error of a call that must be refused. */
export async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => expect.fail("was not refused"),
    (reason: unknown) => ConnectError.from(reason),
  );
  const info = error.findDetails(ErrorInfoSchema)[0];
  const fields = error
    .findDetails(BadRequestSchema)
    .flatMap((detail) => detail.fieldViolations.map((each) => each.field));
  return { code: error.code, message: error.rawMessage, reason: info?.reason, metadata: info?.metadata, fields };
}

/** Request of at most `micro` micro-USD, by the key at the end of the lineage. */
export function requestOf(
  namespaceId: Id<"ns">,
  lineage: readonly Id<"key">[],
  micro: bigint,
): AdmissionRequest & ReservationKey {
  const bounds = { inputTokensMax: 0n, outputTokensMax: micro, choices: 1n };
  const keyId = lineage.at(-1) ?? expect.fail("no key");
  const named = { requestId: newId("req"), idempotencyKey: undefined, sessionId: undefined };
  return { namespaceId, keyId, lineage, price: MICRO_PER_TOKEN, ...named, ...bounds };
}

/** Usage of a request of this cost. */
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
    sessions: createClient(GatewaySessionService, as),
  };
}
