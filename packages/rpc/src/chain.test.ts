import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { IdentityService, KeyService, NamespaceService, VerificationService } from "@routeplane/contracts/auth";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import { UsageService } from "@routeplane/contracts/usage";
import { DomainError, newId, notFound } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { RELAY_CREDENTIAL } from "./headers.ts";
import { type VerifiedPrincipal, principalOf } from "./principal.ts";
import { rpcChain } from "./server/chain.ts";

const SERVICE_TOKEN = "rps_the-service-token";

const key = (...scopes: string[]): VerifiedPrincipal => ({
  kind: "key",
  keyId: newId("key"),
  namespaceId: newId("ns"),
  accountId: newId("acc"),
  scopes,
  lineage: [],
  expiresAt: undefined,
});
const operator = (...scopes: string[]): VerifiedPrincipal => ({
  kind: "operator",
  operatorId: newId("op"),
  accountId: undefined,
  scopes,
  lineage: [],
  expiresAt: undefined,
});

/** Principals, keyed by token. */
const principals: Record<string, VerifiedPrincipal> = {
  reader: key("keys:read"),
  all: key("keys:*"),
  operator: operator("namespaces:*"),
  clerk: operator("audit:read"),
};

function transport() {
  const served: string[] = [];
  const { interceptors } = rpcChain({
    log: createLogger("test", (line) => line, "silent"),
    serviceCredentials: { callerOf: (token) => (token === SERVICE_TOKEN ? "gateway" : undefined) },
    async verifyToken(token) {
      const principal = principals[token];
      if (principal === undefined) throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", "invalid API key");
      return principal;
    },
  });
  const serve = (name: string, principal: string): Record<string, never> => {
    served.push(`${name} ${principal}`);
    return {};
  };
  const wired = createRouterTransport(
    ({ service }) => {
      service(KeyService, {
        listKeys: (_, context) => serve("listKeys", principalOf(context).kind),
        mintKey: () => serve("mintKey", "key"),
        getKey: () => {
          throw notFound();
        },
        revokeKey: () => {
          throw new Error("select * from keys: password is hunter2");
        },
      });
      service(NamespaceService, { listNamespaces: (_, context) => serve("listNamespaces", principalOf(context).kind) });
      service(IdentityService, { whoAmI: () => new Promise(() => {}) });
      service(VerificationService, { verifyKey: (_, context) => serve("verifyKey", principalOf(context).kind) });
    },
    { router: { interceptors } },
  );
  return { wired, served };
}

const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => expect.fail("was admitted"),
    (reason: unknown) => ConnectError.from(reason),
  );
  const [info] = error.findDetails(ErrorInfoSchema);
  return { code: error.code, message: error.rawMessage, reason: info?.reason, metadata: info?.metadata, error };
}

describe("every call", () => {
  const { wired, served } = transport();
  const keys = createClient(KeyService, wired);

  it("requires exactly one credential", async () => {
    expect(await refusal(keys.listKeys({}))).toMatchObject({
      code: Code.Unauthenticated,
      reason: "CREDENTIAL_MISSING",
    });
    const two = { headers: { authorization: "Bearer all", "x-api-key": "reader" } };
    expect(await refusal(keys.listKeys({}, two))).toMatchObject({ code: Code.Unauthenticated });
    expect(await refusal(keys.listKeys({}, as("unknown")))).toMatchObject({ reason: "CREDENTIAL_INVALID" });
    expect(served).toEqual([]);
  });

  it("requires the scope that its contract names, and names it in the refusal", async () => {
    const call = keys.mintKey({ name: "a", scopes: ["keys:read"] }, as("reader"));
    expect(await refusal(call)).toMatchObject({
      code: Code.PermissionDenied,
      reason: "SCOPE_MISSING",
      metadata: { scope: "keys:write" },
    });
    await keys.mintKey({ name: "a", scopes: ["keys:read"] }, as("all"));
    expect(served.splice(0)).toEqual(["mintKey key"]);
  });

  it("is admitted by any one of several access rules", async () => {
    const namespaces = createClient(NamespaceService, wired);
    await namespaces.listNamespaces({}, as("operator"));
    expect(await refusal(namespaces.listNamespaces({}, as("all")))).toMatchObject({ reason: "SCOPE_MISSING" });
    expect(served.splice(0)).toEqual(["listNamespaces operator"]);
  });

  it("requires the operator scope of an operator credential, and names it in the refusal", async () => {
    const namespaces = createClient(NamespaceService, wired);
    expect(await refusal(namespaces.listNamespaces({}, as("clerk")))).toMatchObject({
      code: Code.PermissionDenied,
      reason: "SCOPE_MISSING",
      message: expect.stringContaining("operator scope namespaces:read"),
      metadata: { scope: "namespaces:read" },
    });
    const create = { name: "a" };
    expect(await refusal(namespaces.createNamespace(create, as("clerk")))).toMatchObject({
      metadata: { scope: "namespaces:write" },
    });
    // A key never has operator scopes, even of the same name.
    expect(await refusal(namespaces.createNamespace(create, as("all")))).toMatchObject({ reason: "OPERATOR_REQUIRED" });
    expect(served).toEqual([]);
  });

  it("requires an internal credential for an internal method, and admits it to no other method", async () => {
    const verification = createClient(VerificationService, wired);
    for (const token of ["all", "operator"]) {
      expect(await refusal(verification.verifyKey({}, as(token)))).toMatchObject({ reason: "SERVICE_REQUIRED" });
      expect(await refusal(verification.listRevokedKeys({}, as(token)))).toMatchObject({ reason: "INTERNAL_ONLY" });
    }
    expect(await refusal(verification.verifyKey({}, as("rps_another")))).toMatchObject({
      reason: "CREDENTIAL_INVALID",
    });
    expect(await refusal(keys.listKeys({}, as(SERVICE_TOKEN)))).toMatchObject({ code: Code.PermissionDenied });
    await verification.verifyKey({}, as(SERVICE_TOKEN));
    expect(served.splice(0)).toEqual(["verifyKey internal"]);
  });

  it("is refused for an invalid field before it reaches the handler, with the field and the rule", async () => {
    const { code, error } = await refusal(keys.mintKey({ name: " \t", scopes: [] }, as("all")));
    expect(code).toBe(Code.InvalidArgument);
    const fields = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
    expect(fields.map(({ field }) => field).toSorted()).toEqual(["name", "scopes"]);
    expect(served).toEqual([]);
  });

  it("hides the cause of an internal error, and has a request id", async () => {
    const { message, code, error } = await refusal(keys.revokeKey({ id: "x" }, as("all")));
    expect(code).toBe(Code.Internal);
    expect(message).not.toContain("hunter2");
    expect(error.metadata.get("x-request-id")).toMatch(/^[\w-]+$/);
  });

  it("keeps the request id of the gateway, and replaces that of a client", async () => {
    const headers = { ...as("all").headers, "x-request-id": "from-the-caller" };
    const direct = await refusal(keys.getKey({ id: "x" }, { headers }));
    expect(direct.error.metadata.get("x-request-id")).not.toBe("from-the-caller");
    const relayed = { headers: { ...headers, [RELAY_CREDENTIAL]: SERVICE_TOKEN } };
    const { error } = await refusal(keys.getKey({ id: "x" }, relayed));
    expect(error.metadata.get("x-request-id")).toBe("from-the-caller");
  });

  it("is answered when its deadline passes, even if the handler never returns", async () => {
    const identity = createClient(IdentityService, wired);
    const { code } = await refusal(identity.whoAmI({}, { ...as("all"), timeoutMs: 50 }));
    expect(code).toBe(Code.DeadlineExceeded);
  });
});

describe("a stream of a key", () => {
  it.each([
    ["revoked", undefined, { code: Code.Unauthenticated, reason: "CREDENTIAL_INVALID" }],
    ["without the scope", key("keys:read"), { code: Code.PermissionDenied, reason: "SCOPE_MISSING" }],
  ])("gets no further message once the key is %s", async (_change, changed, expected) => {
    let principal: VerifiedPrincipal | undefined = key("usage:read");
    const { interceptors } = rpcChain({
      log: createLogger("test", (line) => line, "silent"),
      serviceCredentials: { callerOf: () => undefined },
      async verifyToken() {
        if (principal === undefined) throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", "invalid API key");
        return principal;
      },
    });
    const wired = createRouterTransport(
      ({ service }) => {
        service(UsageService, {
          async *watchRequests() {
            yield { resumeToken: "first" };
            principal = changed;
            yield { resumeToken: "second" };
          },
        });
      },
      { router: { interceptors } },
    );
    const received: string[] = [];
    const follow = async (): Promise<void> => {
      const stream = createClient(UsageService, wired).watchRequests({}, as("watcher"));
      for await (const { resumeToken } of stream) received.push(resumeToken);
    };
    expect(await refusal(follow())).toMatchObject(expected);
    expect(received).toEqual(["first"]);
  });
});
