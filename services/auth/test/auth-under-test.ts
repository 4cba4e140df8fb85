import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import * as contracts from "@routeplane/contracts/auth";
import { type ErrorInfo, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import {
  ALL_OPERATOR_SCOPES,
  ALL_SCOPES,
  ALL_SERVICE_SCOPES,
  mintToken,
  parsePeppers,
  type Peppers,
  type ServiceCaller,
} from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { type Database, subscribeToChanges, openDatabase } from "@routeplane/postgres";
import { type ChangeFeed, createChangeFeed } from "@routeplane/rpc";
import { createLogger } from "@routeplane/runtime";
import { authorized, cloneDatabase, SERVING, type TestDatabase } from "@routeplane/testing";
import type { RawBuilder } from "kysely";
import { wireAuth } from "../src/app.ts";
import type { AuthSchema } from "../src/store/schema.ts";
import { createFakePolicyService, type FakePolicyService } from "./fake-policy-service.ts";

export const GATEWAY_TOKEN = "rps_of-the-gateway";
export const POLICY_TOKEN = "rps_of-policy";
export const INSTALLER_TOKEN = "rps_of-the-installer";
export const WORKLOAD_TOKEN = "rps_of-a-workload";
export const CONSOLE_TOKEN = "rps_of-the-console";
export const CONSOLE_URL = "https://console.test";

const CALLERS: ReadonlyMap<string, ServiceCaller> = new Map([
  [GATEWAY_TOKEN, "gateway"],
  [POLICY_TOKEN, "policy"],
  [INSTALLER_TOKEN, "installer"],
  [CONSOLE_TOKEN, "console"],
  [WORKLOAD_TOKEN, "workload"],
]);

/** The auth service on a database of its own, called through its whole interceptor chain. */
export interface AuthUnderTest {
  readonly database: Database<AuthSchema>;
  /** Connection string of the superuser, whom row-level security does not bind. */
  readonly adminUrl: string;
  /** The routes and interceptors that its servers serve. */
  readonly wired: ReturnType<typeof wireAuth>;
  /** Fake of the policy service. */
  readonly policy: FakePolicyService;
  /** The clock of the service; tests move it. Milliseconds. */
  readonly time: { now: number };
  readonly operatorToken: string;
  readonly namespaceId: string;
  /** Responses to the concurrent calls that set up the node. */
  readonly setUps: readonly { readonly accountId: string; readonly namespaceId: string }[];
  /** Lines of its log. */
  readonly logged: string[];
  as(token: string): AuthClients;
  /** The result of VerifyKey, called as the gateway. */
  verify(token: string): Promise<contracts.VerifyKeyResponse["outcome"]>;
  /** A new root key of the namespace, by default with every scope. */
  rootKey(namespace?: string, scopes?: readonly string[]): Promise<{ id: string; token: string }>;
  /** A new sub-key of the key with that token, by default with every scope. */
  subKey(parentToken: string, scopes?: readonly string[], expiresAtMs?: number): Promise<{ id: string; token: string }>;
  /** A new operator credential below the one with token `by`, or below the node's first; by default with every scope. */
  operator(options?: {
    readonly by?: string;
    readonly scopes?: readonly string[];
    readonly account?: string;
    readonly expiresAtMs?: number;
  }): Promise<{ id: string; token: string }>;
  /** A new service credential, by default with every scope and for all namespaces. */
  service(options?: {
    readonly by?: string;
    readonly name?: string;
    readonly scopes?: readonly string[];
    readonly namespaces?: readonly string[];
    readonly expiresAtMs?: number;
  }): Promise<{ id: string; token: string }>;
  /**
   * Another process of the service: a transport that calls it as the gateway, or with another token. It subscribes to the changes in the database, or
   * receives only those that a test feeds into `changes`.
   */
  replica(changes?: ChangeFeed, monotonic?: () => number, token?: string): Promise<Transport>;
  /** The database as the superuser, whom row-level security does not bind. */
  readonly admin: Database<AuthSchema>;
  /** Runs a query as the superuser. */
  rowsOf<Row>(query: RawBuilder<Row>): Promise<Row[]>;
  stop(): Promise<void>;
}

export type AuthClients = ReturnType<typeof clients>;

/** @param prepare fills the database before the service starts and the node is set up with `operatorToken` */
export async function startAuthUnderTest(
  prepare: (clone: TestDatabase, operatorToken: string, peppers: Peppers) => Promise<void> = async () => {},
): Promise<AuthUnderTest> {
  const clone = await cloneDatabase();
  const operatorToken = mintToken("operator");
  await prepare(clone, operatorToken, testPeppers());
  const url = clone.url("routeplane_auth");
  const open = (url: string): Database<AuthSchema> =>
    openDatabase({ url, schema: "auth", applicationName: "auth-test", keepPlans: true });
  const database = open(url);
  const admin = open(clone.adminUrlOf("auth"));
  const time = { now: Date.now() };
  const logged: string[] = [];
  const policy = createFakePolicyService();
  const log = createLogger("auth", (line) => (logged.push(line), ""), "debug");
  const serviceCredentials = { callerOf: (token: string) => CALLERS.get(token) };
  const cache = { keyCacheBytes: 16 * 1024 ** 2, cacheMaxAgeMs: 900_000 };
  const config = { serviceCredentials, peppers: testPeppers(), consoleUrl: CONSOLE_URL, ...cache };
  const wire = (database: Database<AuthSchema>, changes = createChangeFeed(), monotonic = () => performance.now()) =>
    wireAuth({
      ...SERVING,
      config,
      database,
      changes,
      policy: policy.transport,
      log,
      clock: () => time.now,
      monotonic,
    });
  const serve = ({ routes, interceptors }: ReturnType<typeof wireAuth>): Transport =>
    createRouterTransport(routes, { router: { interceptors } });
  const wired = wire(database);
  const transport = serve(wired);
  const opened: { stop(): Promise<void> }[] = [database, admin];
  const as = (token: string): AuthClients => clients(transport, token);

  const { bootstrap } = as(INSTALLER_TOKEN);
  // Like several installers that run at once.
  const setUps = await Promise.all(Array.from({ length: 3 }, () => bootstrap.bootstrapNode({ operatorToken })));
  const namespaceId = setUps[0]?.namespaceId ?? "";
  return {
    policy,
    setUps,
    database,
    adminUrl: clone.adminUrlOf("auth"),
    wired,
    time,
    operatorToken,
    namespaceId,
    logged,
    as,
    verify: async (token) => (await as(GATEWAY_TOKEN).verification.verifyKey({ token })).outcome,
    async rootKey(namespace = "default", scopes = ALL_SCOPES) {
      const minted = await as(operatorToken).keys.mintRootKey({ namespace, name: "root", scopes: [...scopes] });
      return { id: minted.key?.id ?? "", token: minted.token };
    },
    async subKey(parentToken, scopes = ALL_SCOPES, expiresAtMs) {
      const expiry = expiresAtMs === undefined ? {} : { expiresAt: timestampFromMs(expiresAtMs) };
      const minted = await as(parentToken).keys.mintKey({ name: "sub", scopes: [...scopes], ...expiry });
      return { id: minted.key?.id ?? "", token: minted.token };
    },
    async operator({ by = operatorToken, scopes = ALL_OPERATOR_SCOPES, account = "", expiresAtMs } = {}) {
      const expiry = expiresAtMs === undefined ? {} : { expiresAt: timestampFromMs(expiresAtMs) };
      const request = { name: "operator", scopes: [...scopes], account, ...expiry };
      const minted = await as(by).operators.mintOperator(request);
      return { id: minted.operator?.id ?? "", token: minted.token };
    },
    async service({
      by = operatorToken,
      name = newId("svc"),
      scopes = ALL_SERVICE_SCOPES,
      namespaces = [],
      expiresAtMs,
    } = {}) {
      const expiry = expiresAtMs === undefined ? {} : { expiresAt: timestampFromMs(expiresAtMs) };
      const bound = { namespaces: [...namespaces], allNamespaces: namespaces.length === 0 };
      const minted = await as(by).services.mintServiceCredential({ name, scopes: [...scopes], ...bound, ...expiry });
      return { id: minted.serviceCredential?.id ?? "", token: minted.token };
    },
    async replica(given, monotonic = () => performance.now(), token = GATEWAY_TOKEN) {
      const changes = given ?? createChangeFeed();
      const own = open(url);
      opened.push(own);
      if (given === undefined)
        opened.push(subscribeToChanges({ url, schema: "auth", listener: changes, onLost: () => {} }));
      return authorized(serve(wire(own, changes, monotonic)), token);
    },
    admin,
    rowsOf: async (query) => (await admin.within({}, (tx) => query.execute(tx))).rows,
    async stop() {
      await Promise.all(opened.map((each) => each.stop()));
      await clone.drop();
    },
  };
}

/** The error of a call, with its reason and metadata. Fails if there is none. */
export async function refusal(
  call: Promise<unknown>,
): Promise<ConnectError & { reason: string | undefined; infoMetadata: Readonly<Record<string, string>> }> {
  const error = await call.then(
    () => {
      throw new Error("the call was not refused");
    },
    (reason: unknown) => ConnectError.from(reason),
  );
  return Object.assign(error, { reason: reasonOf(error), infoMetadata: infoOf(error)?.metadata ?? {} });
}

export function reasonOf(error: unknown): string | undefined {
  return infoOf(error)?.reason;
}

function infoOf(error: unknown): ErrorInfo | undefined {
  return ConnectError.from(error).findDetails(ErrorInfoSchema)[0];
}

function clients(transport: Transport, token: string) {
  const as = authorized(transport, token);
  return {
    keys: createClient(contracts.KeyService, as),
    accounts: createClient(contracts.AccountService, as),
    namespaces: createClient(contracts.NamespaceService, as),
    operators: createClient(contracts.OperatorService, as),
    audit: createClient(contracts.AuditService, as),
    identity: createClient(contracts.IdentityService, as),
    services: createClient(contracts.ServiceCredentialService, as),
    verification: createClient(contracts.VerificationService, as),
    bootstrap: createClient(contracts.BootstrapService, as),
    sessions: createClient(contracts.SessionService, as),
  };
}

function testPeppers(): Peppers {
  const peppers = parsePeppers(`p1:${"ab".repeat(32)}`);
  if (peppers === undefined) throw new Error("the test's peppers are malformed");
  return peppers;
}
