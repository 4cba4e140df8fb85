import { once } from "node:events";
import { connect, constants } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { toBinary, create } from "@bufbuild/protobuf";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { type ServiceError, status } from "@grpc/grpc-js";
import { IdentityService, KeyService, VerificationService } from "@routeplane/contracts/auth";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { DomainError, newId, notFound } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { connectGrpc, eventually, SERVING } from "@routeplane/testing";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { principalOf } from "../principal.ts";
import { rpcChain } from "./chain.ts";
import { startGrpcServer } from "./grpc-server.ts";
import { mount } from "./hot-methods.ts";

const SERVICE_TOKEN = "rps_the-service-token";
const service = { token: SERVICE_TOKEN };
const key = { token: "a-key" };

function testChain(logged: string[] = []) {
  return rpcChain({
    log: createLogger("test", (line) => (logged.push(line), ""), "debug"),
    serviceCredentials: { callerOf: (token) => (token === SERVICE_TOKEN ? "gateway" : undefined) },
    async verifyToken(token) {
      if (token !== key.token) throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", "invalid API key");
      const ids = { keyId: newId("key"), namespaceId: newId("ns"), accountId: newId("acc") };
      return { kind: "key", ...ids, scopes: ["keys:*"], lineage: [], expiresAt: undefined };
    },
  });
}

async function start() {
  const logged: string[] = [];
  const signals: AbortSignal[] = [];
  const lateSignals: AbortSignal[] = [];
  const waiting: (() => void)[] = [];
  const server = await startGrpcServer({
    host: "127.0.0.1",
    port: 0,
    ...testChain(logged),
    ...SERVING,
    services: [
      mount(VerificationService, {
        verifyKey: async ({ token }, context) => {
          expect(principalOf(context).kind).toBe("internal");
          context.responseTrailer.set("x-trailer", "t");
          if (token === "wait") await new Promise<void>((resolve) => waiting.push(resolve));
          return { outcome: { case: "refusal", value: { message: token } } };
        },
      }),
      mount(KeyService, {
        getKey: () => {
          throw notFound();
        },
        revokeKey: () => {
          throw new Error("select * from keys: password is hunter2");
        },
        mintKey: () => ({}),
        async listKeys(_, context) {
          await eventually(() => (context.timeoutMs() ?? 0) < -100);
          lateSignals.push(context.signal);
          return {};
        },
      }),
      mount(IdentityService, {
        whoAmI: (_, { signal }) => {
          signals.push(signal);
          return new Promise(() => {});
        },
      }),
    ],
  });
  const client = connectGrpc(`127.0.0.1:${server.port}`);
  return { server, client, logged, signals, lateSignals, waiting };
}

const { client, server, logged, signals, lateSignals } = await start();
afterAll(async () => {
  client.close();
  await server.stop();
});

async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => expect.fail("was let through"),
    (reason: unknown) => reason as ServiceError,
  );
  const details = new Headers();
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  if (bytes !== undefined) details.set("grpc-status-details-bin", Buffer.from(bytes).toString("base64"));
  const wire = findTrailerError(details);
  return {
    code: error.code,
    message: error.details,
    reason: wire?.findDetails(ErrorInfoSchema)[0]?.reason,
    fields: wire?.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations.map(({ field }) => field)),
    requestId: error.metadata.get("x-request-id")[0],
  };
}

const { verifyKey } = VerificationService.method;
const { getKey, mintKey, revokeKey } = KeyService.method;

describe("a call over gRPC", () => {
  it("reaches the handler with its principal, and gets the response", async () => {
    const { outcome } = await client.call(verifyKey, { token: "über" }, service);
    expect(outcome).toMatchObject({ case: "refusal", value: { message: "über" } });
  });

  it("requires a valid credential that the method's contract admits", async () => {
    const { UNAUTHENTICATED, PERMISSION_DENIED } = status;
    const missing = { code: UNAUTHENTICATED, reason: "CREDENTIAL_MISSING" };
    expect(await refusal(client.call(verifyKey, {}))).toMatchObject(missing);
    const two = { metadata: { authorization: "Bearer a", "x-api-key": "b" } };
    expect(await refusal(client.call(verifyKey, {}, two))).toMatchObject(missing);
    const wrong = { code: UNAUTHENTICATED, reason: "CREDENTIAL_INVALID" };
    expect(await refusal(client.call(verifyKey, {}, { token: "rps_another" }))).toMatchObject(wrong);
    const foreign = { code: PERMISSION_DENIED, reason: "SERVICE_REQUIRED" };
    expect(await refusal(client.call(verifyKey, {}, key))).toMatchObject(foreign);
  });

  it("is refused for an invalid field, with the field in the details", async () => {
    const { code, reason, fields } = await refusal(client.call(mintKey, { name: " ", scopes: [] }, key));
    expect({ code, reason }).toEqual({ code: status.INVALID_ARGUMENT, reason: "FIELD_INVALID" });
    expect(fields?.toSorted()).toEqual(["name", "scopes"]);
  });

  it("is refused as INVALID_ARGUMENT for an unreadable message", async () => {
    const path = `/${VerificationService.typeName}/VerifyKey`;
    const { code, reason } = await refusal(client.send(path, Buffer.from("ffffff", "hex"), service));
    expect({ code, reason }).toEqual({ code: status.INVALID_ARGUMENT, reason: "FIELD_INVALID" });
  });

  it("gets the code and reason of a domain error, and of an internal error only the request id", async () => {
    expect(await refusal(client.call(getKey, { id: "x" }, key))).toMatchObject({ code: status.NOT_FOUND });
    const fault = await refusal(client.call(revokeKey, { id: "x" }, key));
    expect(fault).toMatchObject({ code: status.INTERNAL, reason: "INTERNAL", requestId: expect.any(String) });
    expect(JSON.stringify(fault)).not.toContain("hunter2");
    expect(logged.join("")).toContain(`${fault.requestId?.toString()}`);
  });

  it("keeps the request id of a caller with a service credential only", async () => {
    const metadata = { "x-request-id": "from-the-caller" };
    expect((await refusal(client.call(getKey, { id: "x" }, { ...service, metadata }))).requestId).toBe(
      "from-the-caller",
    );
    expect((await refusal(client.call(getKey, { id: "x" }, { ...key, metadata }))).requestId).not.toBe(
      "from-the-caller",
    );
  });

  it("is answered at its deadline, and its handler is aborted", async () => {
    const { code } = await refusal(client.call(IdentityService.method.whoAmI, {}, { ...key, timeoutMs: 100 }));
    expect(code).toBe(status.DEADLINE_EXCEEDED);
    await eventually(() => signals.some(({ aborted }) => aborted));
  });

  it("has an aborted signal for a handler that first reads it after the deadline", async () => {
    const { code } = await refusal(client.call(KeyService.method.listKeys, {}, { ...key, timeoutMs: 100 }));
    expect(code).toBe(status.DEADLINE_EXCEEDED);
    await eventually(() => lateSignals.length === 1);
    expect(lateSignals[0]?.aborted).toBe(true);
    // A late answer is no second outcome. The caller's own timer can be a moment ahead; the caller then cancels.
    const codes = logged.flatMap((line) => /KeyService\/ListKeys","code":"(\w+)"/.exec(line)?.[1] ?? []);
    expect(codes).toHaveLength(1);
    expect(["DeadlineExceeded", "Canceled"]).toContain(codes[0]);
  });

  it("is refused for an unknown or unmounted method", async () => {
    for (const path of ["/no.such.v1.Service/Method", `/${VerificationService.typeName}/ResolveKey`]) {
      expect(await refusal(client.send(path, new Uint8Array(), service))).toMatchObject({ code: status.UNIMPLEMENTED });
    }
  });

  it("is refused without being read if it is larger than 1 MiB", async () => {
    const bytes = toBinary(verifyKey.input, create(verifyKey.input, { token: "a".repeat(1 << 20) }));
    const call = client.send(`/${VerificationService.typeName}/VerifyKey`, bytes, service);
    expect(await refusal(call)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await client.call(verifyKey, {}, service);
  });

  it("needs no credential for the standard health service", async () => {
    expect((await client.call(Health.method.check, {})).status).toBe(Status.SERVING);
  });
});

it("drains on stop: running calls are answered, new ones refused", async () => {
  const draining = await start();
  const calls = Array.from({ length: 20 }, () => draining.client.call(verifyKey, { token: "wait" }, service));
  await eventually(() => draining.waiting.length === calls.length);
  const stopped = draining.server.stop();
  const late = connectGrpc(`127.0.0.1:${draining.server.port}`);
  expect(await refusal(late.call(verifyKey, {}, service))).toMatchObject({ code: status.UNAVAILABLE });
  for (const answer of draining.waiting) answer();
  for (const { outcome } of await Promise.all(calls)) expect(outcome.value).toMatchObject({ message: "wait" });
  await stopped;
  for (const client of [late, draining.client]) client.close();
});

it("ends on stop the calls that still run after 5 s", { timeout: 15_000 }, async () => {
  const stuck = await start();
  const call = refusal(stuck.client.call(IdentityService.method.whoAmI, {}, key));
  await eventually(() => stuck.signals.length === 1);
  const started = performance.now();
  await stuck.server.stop();
  expect(performance.now() - started).toBeGreaterThan(4_900);
  expect((await call).code).toBe(status.CANCELLED);
  stuck.client.close();
});

it("gives running calls the time of a drain, and stops waiting when the drain is cut short", async () => {
  const busy = await start();
  void refusal(busy.client.call(IdentityService.method.whoAmI, {}, key));
  await eventually(() => busy.signals.length === 1);
  const hurry = new AbortController();
  let isDrained = false;
  const drained = busy.server.drain({ timeoutMs: 600_000, signal: hurry.signal }).then(() => (isDrained = true));
  await delay(5_500);
  expect(isDrained).toBe(false);
  hurry.abort();
  await drained;
  await busy.server.stop();
  busy.client.close();
}, 30_000);

it("ends a connection after its maximum age", async () => {
  const aged = await startGrpcServer({
    host: "127.0.0.1",
    port: 0,
    ...testChain(),
    services: [],
    maxSessionAgeMs: 200,
    ...SERVING,
  });
  const session = connect(`http://127.0.0.1:${aged.port}`);
  onTestFinished(async () => {
    session.destroy();
    await aged.stop();
  });
  const [code] = (await once(session, "goaway")) as [number];
  expect(code).toBe(constants.NGHTTP2_NO_ERROR);
});
