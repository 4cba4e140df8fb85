import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { connect, constants, createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import {
  Client as GrpcClient,
  credentials,
  Metadata,
  type sendUnaryData,
  Server as GrpcServer,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerWritableStream,
  type ServiceError,
} from "@grpc/grpc-js";
import {
  type Admission,
  admission,
  authenticateCall,
  callerOf,
  createClient,
  grpcInterceptor,
  protect,
  RouteplaneError,
  type Verifier,
  verifier,
} from "@routeplane/client";
import { mintToken } from "@routeplane/credentials";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { mintKey } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { newNamespace } from "../harness/policies.ts";
import { type ServiceAccess, serviceAccessOf } from "../harness/service-access.ts";

/** Tests of `@routeplane/client` on a node, as a user's own service uses it. */

let node: TestNode;
let access: ServiceAccess;
let keys: Verifier;
let spend: Admission;

beforeAll(async () => {
  node = await startNode();
  access = await serviceAccessOf(node);
  const { authUrl, policyUrl, serviceCredential } = access;
  keys = verifier({ url: authUrl, serviceCredential });
  spend = admission({ url: policyUrl, serviceCredential });
  await eventually(() => keys.isLive());
});
afterAll(async () => {
  await keys.stop();
  await spend.stop();
  await node.remove();
});

const managementClient = async () => createClient({ url: node.url, apiKey: await node.apiKey() });
const reasonOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "OK",
    (error: RouteplaneError) => error.reason,
  );
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe("a client", () => {
  it("calls the services of a node", async () => {
    const { keys } = await (await managementClient()).keys.listKeys({});
    expect(keys.map(({ name }) => name)).toContain("root");
  });

  it("rejects with the reason, fields and status of a refusal", async () => {
    const management = await managementClient();
    const failure = await management.keys.mintKey({ name: "", scopes: ["keys:read"] }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RouteplaneError);
    const requestId = expect.stringMatching(/./);
    expect(failure).toMatchObject({
      reason: "FIELD_INVALID",
      code: 3,
      statusCode: 400,
      fields: expect.arrayContaining([expect.objectContaining({ field: "name" })]),
      requestId,
    });
    expect(await reasonOf(management.keys.getKey({ id: "key_none" }))).toBe("RESOURCE_NOT_FOUND");
    const stranger = createClient({ url: `${node.url}/`, apiKey: () => mintToken("key") });
    expect(await reasonOf(stranger.keys.listKeys({}))).toBe("CREDENTIAL_INVALID");
  });

  it("rejects with UNREACHABLE if no node answers", async () => {
    const nobody = createClient({ url: "http://127.0.0.1:1", apiKey: await node.apiKey() });
    expect(await reasonOf(nobody.keys.listKeys({}))).toBe("UNREACHABLE");
  });
});

describe("a verifier", () => {
  it("returns the caller of a valid key", async () => {
    const { id, token } = await mintKey(node, "caller", "inference:invoke");
    const caller = await keys.verify(token);
    expect(caller).toMatchObject({ keyId: id, scopes: ["inference:invoke"], lineage: expect.arrayContaining([id]) });
    expect(await keys.authenticate({ "x-api-key": token })).toEqual(caller);
    expect(await keys.authenticate(new Headers(bearer(token)))).toEqual(caller);
  });

  it("refuses everything but a valid key, with the reason", async () => {
    expect(await reasonOf(keys.authenticate({}))).toBe("CREDENTIAL_MISSING");
    expect(await reasonOf(keys.authenticate({ ...bearer(await node.apiKey()), "x-api-key": mintToken("key") }))).toBe(
      "CREDENTIAL_MISSING",
    );
    expect(await reasonOf(keys.verify("rp_junk"))).toBe("CREDENTIAL_INVALID");
    expect(await reasonOf(keys.verify(mintToken("key")))).toBe("CREDENTIAL_INVALID");
    expect(await reasonOf(keys.verify(access.serviceCredential))).toBe("CREDENTIAL_INVALID");
    // A service credential is not told that the token is an operator's.
    expect(await reasonOf(keys.verify(await node.operatorKey()))).toBe("CREDENTIAL_INVALID");
  });

  it("refuses a key without the required scope, and names it", async () => {
    const { token } = await mintKey(node, "reader", "keys:read");
    const failure = await keys.verify(token, { scope: "inference:invoke" }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ reason: "SCOPE_MISSING", statusCode: 403, info: { scope: "inference:invoke" } });
    expect(await reasonOf(keys.verify(token, { scope: "keys:read" }))).toBe("OK");
  });

  it("protects a shared result from changes by one of its callers", async () => {
    const { token } = await mintKey(node, "frozen", "keys:read");
    const caller = await keys.verify(token);
    expect(() => (caller.scopes as string[]).push("inference:invoke")).toThrow(TypeError);
    expect(() => Object.assign(caller, { namespaceId: "ns_other" })).toThrow(TypeError);
    expect(await reasonOf(keys.verify(token, { scope: "inference:invoke" }))).toBe("SCOPE_MISSING");
  });

  it("refuses a revoked key while its result is warm, and aborts the subscriptions to it", async () => {
    const { id, token } = await mintKey(node, "revoked", "inference:invoke");
    await keys.verify(token);
    const { signal, release } = await keys.subscribe(bearer(token), { scope: "inference:invoke" });
    onTestFinished(release);
    const latencies: number[] = [];
    const ended = new Promise((resolve) => signal.addEventListener("abort", resolve));
    const { keys: management } = await managementClient();
    await management.revokeKey({ id });
    const revokedAt = performance.now();
    while ((await reasonOf(keys.verify(token))) === "OK") latencies.push(performance.now() - revokedAt);
    await ended;
    expect(signal.reason).toMatchObject({ reason: "CREDENTIAL_REVOKED", statusCode: 401 });
    expect(await reasonOf(keys.verify(token))).toBe("CREDENTIAL_REVOKED");
    expect(latencies.at(-1) ?? 0).toBeLessThan(5_000);
  });

  it("reports a refusal of its own credential as its own fault, not the caller's", async () => {
    const token = await node.apiKey();
    for (const serviceCredential of [`rps_${"x".repeat(43)}`, token]) {
      const own = verifier({ url: access.authUrl, serviceCredential });
      onTestFinished(() => own.stop());
      const failure = await own.verify(token).catch((error: unknown) => error);
      expect(failure).toMatchObject({ reason: "SERVICE_CREDENTIAL_REFUSED", statusCode: 503 });
    }
  });

  it("verifies only keys of its service credential's namespaces, and none from 5 s after the revocation of that on", async () => {
    const operator = createClient({ url: node.url, apiKey: await node.operatorKey() });
    const own = await newNamespace(node, "client-own");
    const { serviceCredential, token } = await operator.services.mintServiceCredential({
      name: "client-own",
      scopes: ["keys:verify"],
      namespaces: ["client-own"],
    });
    const bound = verifier({ url: access.authUrl, serviceCredential: () => token });
    onTestFinished(() => bound.stop());
    await eventually(() => bound.isLive());
    const { id, token: child } = await own.mint(own.root.token, "child");
    expect(await reasonOf(bound.verify(child))).toBe("OK");
    expect(await reasonOf(bound.verify(await node.apiKey()))).toBe("CREDENTIAL_INVALID");
    const { keys: management } = createClient({ url: node.url, apiKey: own.root.token });
    await management.revokeKey({ id });
    await eventually(async () => (await reasonOf(bound.verify(child))) === "CREDENTIAL_REVOKED", 5_000);
    expect(await reasonOf(bound.verify(own.root.token))).toBe("OK");
    await operator.services.revokeServiceCredential({ id: serviceCredential?.id ?? "" });
    const refusal = async () => (await reasonOf(bound.verify(own.root.token))) === "SERVICE_CREDENTIAL_REFUSED";
    await eventually(refusal, 5_000);
  });

  it("refuses every key within 5 s of losing the node, also with a warm cache, and recovers", async () => {
    const { token } = await mintKey(node, "offline", "inference:invoke");
    await keys.verify(token);
    const subscription = await keys.subscribe(bearer(token));
    onTestFinished(subscription.release);
    await node.whileSuspended("auth", async () => {
      const lostAt = performance.now();
      await eventually(async () => (await reasonOf(keys.verify(token))) !== "OK", 10_000);
      expect(performance.now() - lostAt).toBeLessThan(5_000 + 1_500);
      await eventually(() => subscription.signal.aborted, 10_000);
    });
    await eventually(async () => (await reasonOf(keys.verify(token))) === "OK", 15_000);
  });
});

describe("an admission", () => {
  /** Caller with a budget of 10 USD cents, and a price of 1 cent for 1,000 output tokens. */
  async function callerWithBudget(name: string) {
    const { root, ...namespace } = await newNamespace(node, name);
    await namespace.bind({ budget: { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: "100000" } });
    const caller = await keys.verify(root.token);
    const price = { outputMicroUsdPerMtok: 10_000_000 };
    return { caller, price };
  }

  it("settles what the work has used, and denies what does not fit, with policy and status", async () => {
    const { caller, price } = await callerWithBudget("admission-settles");
    const request = { caller, price, outputTokensMax: 6_000 };
    const answer = await spend.run(request, async (grant) => {
      expect(grant).toMatchObject({ outputTokensMax: 6_000, reservedNanoUsd: 60_000_000n });
      await grant.settle({ outputTokens: 5_000 });
      return "answer";
    });
    expect(answer).toBe("answer");
    const all = await spend.admit({ caller, price: { requestMicroUsd: 50_000 } });
    const failure = await spend.admit({ caller, price: { requestMicroUsd: 1 } }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ reason: "BUDGET_EXCEEDED", statusCode: 402, info: { rule: "budget" } });
    await all.void({ neverSent: true });
    const unsettled = await spend.run({ caller, price: { requestMicroUsd: 50_000 } }, async (grant) => grant);
    // The work settled nothing, so all that was reserved is charged.
    expect(unsettled.isEnded).toBe(true);
    expect(await reasonOf(spend.admit({ caller, price: { requestMicroUsd: 1 } }))).toBe("BUDGET_EXCEEDED");
  });

  it("charges nothing for work that fails, unless it has settled", async () => {
    const { caller } = await callerWithBudget("admission-voids");
    const request = { caller, price: { requestMicroUsd: 100_000 } };
    const fault = new Error("upstream failed");
    const failing = spend.run(request, () => Promise.reject(fault));
    await expect(failing).rejects.toBe(fault);
    {
      await using grant = await spend.admit(request);
      expect(grant.isEnded).toBe(false);
    }
    const settling = spend.run(request, async (grant) => {
      void grant.settle({ costNanoUsd: 100_000_000n });
      throw fault;
    });
    await expect(settling).rejects.toBe(fault);
    expect(await reasonOf(spend.admit({ caller, price: { requestMicroUsd: 1 } }))).toBe("BUDGET_EXCEEDED");
  });

  it("admits one of the requests with the same idempotency key", async () => {
    const { caller, price } = await callerWithBudget("admission-idempotent");
    const request = { caller, price, outputTokensMax: 10, idempotencyKey: "order-1" };
    const grant = await spend.admit(request);
    expect(await reasonOf(spend.admit(request))).toBe("IDEMPOTENCY_KEY_USED");
    expect((await spend.admit({ ...request, requestId: grant.requestId })).reservedNanoUsd).toBe(grant.reservedNanoUsd);
    await grant.void();
    expect(await reasonOf(spend.admit(request))).toBe("OK");
  });

  it("is unavailable within seconds without the policy service", async () => {
    const { caller, price } = await callerWithBudget("admission-offline");
    await node.whileSuspended("policy", async () => {
      const startedAt = performance.now();
      const reason = await reasonOf(spend.admit({ caller, price, outputTokensMax: 10 }));
      expect(["UNREACHABLE", "DEADLINE_EXCEEDED"]).toContain(reason);
      expect(performance.now() - startedAt).toBeLessThan(10_000);
    });
  });
});

describe("a server of node:http that is protected", () => {
  let server: Server;
  let url: string;
  let failedWork = 0;
  /** Works until the signal is aborted, and then fails with an error of its own, as most libraries do. */
  async function work(response: ServerResponse, signal: AbortSignal): Promise<void> {
    response.write("first");
    await once(signal, "abort");
    failedWork++;
    throw new DOMException("the call was aborted", "AbortError");
  }
  beforeAll(async () => {
    server = createServer(
      protect(keys, { scope: "inference:invoke" }, (request, response, { caller, signal }) => {
        if (request.url === "/stream") return void response.write("first");
        if (request.url === "/denied") throw new RouteplaneError(8, "BUDGET_EXCEEDED", "no money left");
        if (request.url === "/work") return work(response, signal);
        response.end(caller.keyId);
      }),
    ).listen(0, "127.0.0.1");
    url = await new Promise((resolve) =>
      server.once("listening", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
    );
  });
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  it("gets only requests of valid keys", async () => {
    const { id, token } = await mintKey(node, "http", "inference:invoke");
    expect(await (await fetch(url, { headers: bearer(token) })).text()).toBe(id);
    const refused = await fetch(url, { method: "POST", body: "x".repeat(100) });
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toBe("Bearer");
    expect(await refused.json()).toMatchObject({ error: { reason: "CREDENTIAL_MISSING" } });
    const { token: reader } = await mintKey(node, "http reader", "keys:read");
    expect((await fetch(url, { headers: bearer(reader) })).status).toBe(403);
    expect((await fetch(`${url}/denied`, { headers: bearer(token) })).status).toBe(402);
  });

  it("has a running response cancelled when its key is revoked", async () => {
    const { id, token } = await mintKey(node, "http stream", "inference:invoke");
    const { body } = await fetch(`${url}/stream`, { headers: bearer(token) });
    const reader = body!.getReader();
    await reader.read();
    await (await managementClient()).keys.revokeKey({ id });
    await expect(reader.read()).rejects.toThrow();
  });

  it("survives work that fails because the key was revoked", async () => {
    const { id, token } = await mintKey(node, "http work", "inference:invoke");
    const unhandled: unknown[] = [];
    const onUnhandled = (error: unknown) => unhandled.push(error);
    const listeners = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection").on("unhandledRejection", onUnhandled);
    onTestFinished(() => {
      process.off("unhandledRejection", onUnhandled);
      for (const listener of listeners) process.on("unhandledRejection", listener);
    });
    const { body } = await fetch(`${url}/work`, { headers: bearer(token) });
    const reader = body!.getReader();
    await reader.read();
    await (await managementClient()).keys.revokeKey({ id });
    await expect(reader.read()).rejects.toThrow();
    await eventually(() => failedWork === 1);
    await setImmediate();
    expect(unhandled).toEqual([]);
  });
});

it("releases the subscription of a response of node:http2 whose client left while the key was verified", async () => {
  const { token } = await mintKey(node, "http2", "inference:invoke");
  let released = 0;
  const slow: Verifier = {
    ...keys,
    async subscribe(headers, requirement) {
      const subscription = await keys.subscribe(headers, requirement);
      stream.close(constants.NGHTTP2_CANCEL);
      await closed;
      return {
        ...subscription,
        release() {
          released++;
          subscription.release();
        },
      };
    },
  };
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  const { promise: authenticated, resolve: onAuthenticated } = Promise.withResolvers<unknown>();
  const server = createHttp2Server((request, response) => {
    response.once("close", onClosed);
    onAuthenticated(authenticateCall(slow, {}, request, response));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const stream = session.request({ ":path": "/", ...bearer(token) });
  onTestFinished(() => {
    session.destroy();
    server.close();
  });
  await authenticated;
  expect(released).toBe(1);
});

describe("a server of @grpc/grpc-js that is protected", () => {
  const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };
  const method = (name: string, responseStream: boolean) => ({
    path: `/example.Greeter/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: bytes.serialize,
    requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize,
    responseDeserialize: bytes.deserialize,
  });
  let cancelled = 0;
  let server: GrpcServer;
  let client: GrpcClient;
  beforeAll(async () => {
    const publicMethods = ["/example.Greeter/Health"];
    const interceptor = grpcInterceptor(keys, ServerInterceptingCall, { scope: "inference:invoke", publicMethods });
    server = new GrpcServer({ interceptors: [interceptor] });
    server.addService(
      { health: method("Health", false), watch: method("Watch", true) },
      {
        health: (_call: unknown, callback: sendUnaryData<Buffer>) => callback(null, Buffer.from("healthy")),
        watch(call: ServerWritableStream<Buffer, Buffer>) {
          call.on("cancelled", () => cancelled++);
          call.write(Buffer.from(callerOf(call.metadata).keyId));
        },
      },
    );
    const port = await new Promise<number>((resolve) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (_error, bound) => resolve(bound)),
    );
    client = new GrpcClient(`127.0.0.1:${port}`, credentials.createInsecure());
  });
  afterAll(() => {
    client.close();
    server.forceShutdown();
  });

  /** Opens the stream. Its texts are added to `texts`, and its status is the result. */
  function watch(token: string, texts: string[]): Promise<{ readonly code: number; readonly details: string }> {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    const { serialize, deserialize } = bytes;
    const call = client.makeServerStreamRequest(
      "/example.Greeter/Watch",
      serialize,
      deserialize,
      Buffer.alloc(0),
      metadata,
    );
    call.on("data", (chunk: Buffer) => texts.push(chunk.toString()));
    return new Promise((resolve) => call.on("error", (error) => resolve(error as ServiceError)));
  }

  it("ends a running stream when its key is revoked, for the caller and for its handler", async () => {
    const { id, token } = await mintKey(node, "grpc stream");
    const texts: string[] = [];
    const status = watch(token, texts);
    await eventually(() => texts.length === 1);
    expect(texts).toEqual([id]);
    await (await managementClient()).keys.revokeKey({ id });
    expect(await status).toMatchObject({ code: 16, details: expect.stringContaining("revoked") });
    await eventually(() => cancelled === 1);
  });

  it("calls no handler for a bad key, and lets everyone call a public method", async () => {
    const texts: string[] = [];
    expect(await watch(mintToken("key"), texts)).toMatchObject({ code: 16 });
    expect(texts).toEqual([]);
    const healthy = await new Promise((resolve) => {
      const { serialize, deserialize } = bytes;
      client.makeUnaryRequest("/example.Greeter/Health", serialize, deserialize, Buffer.alloc(0), (_error, answer) =>
        resolve(String(answer)),
      );
    });
    expect(healthy).toBe("healthy");
  });
});
