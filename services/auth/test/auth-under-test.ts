import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import * as contracts from "@routeplane/contracts/auth";
import { type ErrorInfo, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import { ALL_SCOPES, mintToken, parsePeppers, type Peppers } from "@routeplane/credentials";
import { type Database, openDatabase } from "@routeplane/postgres";
import { createLogger } from "@routeplane/runtime";
import { cloneDatabase } from "@routeplane/testing";
import { wireAuth } from "../src/app.ts";
import type { AuthSchema } from "../src/store/schema.ts";

export const SERVICE_TOKEN = "rps_the-service-token";

/** The auth service on a database of its own, called through its whole interceptor chain. */
export interface AuthUnderTest {
  readonly database: Database<AuthSchema>;
  /** Connects past row-level security. */
  readonly adminUrl: string;
  /** What its servers serve. */
  readonly wired: ReturnType<typeof wireAuth>;
  /** Milliseconds; the service's clock. */
  readonly time: { now: number };
  readonly operatorToken: string;
  readonly namespaceId: string;
  /** Everything that was logged. */
  readonly logged: string[];
  as(token: string): AuthClients;
  /** What the node's other services are told of a token. */
  verify(token: string): Promise<contracts.VerifyKeyResponse["outcome"]>;
  /** A new root key of the namespace, with every scope unless told otherwise. */
  rootKey(namespace?: string, scopes?: readonly string[]): Promise<{ id: string; token: string }>;
  /** A new key below the one whose token is given, with every scope unless told otherwise. */
  subKey(parentToken: string, scopes?: readonly string[], expiresAtMs?: number): Promise<{ id: string; token: string }>;
  stop(): Promise<void>;
}

export type AuthClients = ReturnType<typeof clients>;

export async function startAuthUnderTest(): Promise<AuthUnderTest> {
  const clone = await cloneDatabase();
  const database = openDatabase<AuthSchema>({
    url: clone.url("routeplane_auth"),
    schema: "auth",
    applicationName: "auth-test",
    keepPlans: true,
  });
  const time = { now: Date.now() };
  const logged: string[] = [];
  const log = createLogger("auth", (line) => (logged.push(line), ""), "debug");
  const config = { serviceToken: SERVICE_TOKEN, peppers: testPeppers() };
  const wired = wireAuth({ config, database, log, clock: () => time.now });
  const { routes, interceptors } = wired;
  const transport = createRouterTransport(routes, { router: { interceptors } });
  const as = (token: string): AuthClients => clients(transport, token);

  const operatorToken = mintToken("operator");
  const { namespaceId } = await as(SERVICE_TOKEN).bootstrap.bootstrapNode({ operatorToken });
  return {
    database,
    adminUrl: clone.adminUrl,
    wired,
    time,
    operatorToken,
    namespaceId,
    logged,
    as,
    verify: async (token) => (await as(SERVICE_TOKEN).verification.verifyKey({ token })).outcome,
    async rootKey(namespace = "default", scopes = ALL_SCOPES) {
      const minted = await as(operatorToken).keys.mintRootKey({ namespace, name: "root", scopes: [...scopes] });
      return { id: minted.key?.id ?? "", token: minted.token };
    },
    async subKey(parentToken, scopes = ALL_SCOPES, expiresAtMs) {
      const expiry = expiresAtMs === undefined ? {} : { expiresAt: timestampFromMs(expiresAtMs) };
      const minted = await as(parentToken).keys.mintKey({ name: "sub", scopes: [...scopes], ...expiry });
      return { id: minted.key?.id ?? "", token: minted.token };
    },
    async stop() {
      await database.stop();
      await clone.drop();
    },
  };
}

/** The error that a call ends with, its reason and what it tells machines. */
export async function refusal(
  call: Promise<unknown>,
): Promise<ConnectError & { reason: string | undefined; infoMetadata: Readonly<Record<string, string>> }> {
  const error = await call.then(
    () => {
      throw new Error("was let through");
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
  const authorized: Transport = {
    unary: (method, signal, timeoutMs, header, input, contextValues) => {
      const headers = new Headers(header);
      headers.set("authorization", `Bearer ${token}`);
      return transport.unary(method, signal, timeoutMs, headers, input, contextValues);
    },
    stream: transport.stream.bind(transport),
  };
  return {
    keys: createClient(contracts.KeyService, authorized),
    namespaces: createClient(contracts.NamespaceService, authorized),
    audit: createClient(contracts.AuditService, authorized),
    identity: createClient(contracts.IdentityService, authorized),
    verification: createClient(contracts.VerificationService, authorized),
    bootstrap: createClient(contracts.BootstrapService, authorized),
  };
}

function testPeppers(): Peppers {
  const peppers = parsePeppers(`p1:${"ab".repeat(32)}`);
  if (peppers === undefined) throw new Error("the test's peppers are malformed");
  return peppers;
}
