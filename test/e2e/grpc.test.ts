import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { type ServiceError, status } from "@grpc/grpc-js";
import { KeyService, VerificationService } from "@routeplane/contracts/auth";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { AdmissionService, PolicyService } from "@routeplane/contracts/policy";
import { UsageService } from "@routeplane/contracts/usage";
import { newId } from "@routeplane/domain";
import { connectGrpc, type GrpcClient } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";

interface Secrets {
  readonly serviceToken: string;
}

/** Internal services call plain gRPC on the services' own ports, with whatever gRPC library they have. */

let node: TestNode;
const clients = new Map<string, GrpcClient>();

beforeAll(async () => {
  node = await startNode();
  for (const [, service = "", address = ""] of node.stdout().matchAll(/\b(auth|policy|usage) (127\.0\.0\.1:\d+)/g)) {
    clients.set(service, connectGrpc(address));
  }
  for (const [, methods = "", address = ""] of node
    .stdout()
    .matchAll(/(VerifyKey|Admit and Settle) (127\.0\.0\.1:\d+)/g)) {
    clients.set(methods, connectGrpc(address));
  }
});
afterAll(async () => {
  for (const client of clients.values()) client.close();
  await node.remove();
});

function call<I extends DescMessage, O extends DescMessage>(
  service: string,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  token?: string,
): Promise<MessageShape<O>> {
  return clients.get(service)!.call(method, request, token === undefined ? {} : { token });
}

const code = (call: Promise<unknown>): Promise<unknown> => call.catch((error: ServiceError) => error.code);

describe("a gRPC client", () => {
  it("finds every service's port in what `up` prints", () => {
    expect([...clients.keys()].toSorted()).toEqual(["Admit and Settle", "VerifyKey", "auth", "policy", "usage"]);
  });

  it.each(["auth", "policy", "usage", "VerifyKey", "Admit and Settle"])(
    "is told by %s's health service that it serves",
    async (service) => {
      const { status: health } = await call(service, Health.method.check, {});
      expect(health).toBe(Status.SERVING);
    },
  );

  it("calls each service with a key", async () => {
    const token = await node.apiKey();
    const { keys } = await call("auth", KeyService.method.listKeys, {}, token);
    expect(keys.map(({ name }) => name)).toEqual(["root"]);
    expect((await call("policy", PolicyService.method.listPolicies, {}, token)).policies).toEqual([]);
    expect((await call("usage", UsageService.method.getUsage, {}, token)).requestCount).toBe(0n);
  });

  it("gets the status that gRPC has for each refusal", async () => {
    const token = await node.apiKey();
    expect(await code(call("auth", KeyService.method.listKeys, {}))).toBe(status.UNAUTHENTICATED);
    expect(await code(call("auth", KeyService.method.getKey, { id: "key_x" }, token))).toBe(status.NOT_FOUND);
    expect(await code(call("auth", KeyService.method.mintKey, {}, token))).toBe(status.INVALID_ARGUMENT);
    expect(await code(call("auth", VerificationService.method.verifyKey, { token }, token))).toBe(
      status.PERMISSION_DENIED,
    );
  });

  it("gets the hot methods on ports of their own, with the service credential and no other", async () => {
    const token = await node.apiKey();
    const { serviceToken } = JSON.parse(await readFile(join(node.home, "secrets.json"), "utf8")) as Secrets;
    const { verifyKey } = VerificationService.method;
    const { outcome } = await call("VerifyKey", verifyKey, { token }, serviceToken);
    if (outcome.case !== "key") throw new Error(`not a key, but ${outcome.case}`);
    const { keyId, namespaceId } = outcome.value;
    expect(keyId).toMatch(/^key_/);
    const hold = { namespaceId, keyId, requestId: newId("req") };
    const request = { namespaceId, requestId: hold.requestId, lineage: [keyId], price: {}, outputTokensMax: 10n };
    const admitted = await call("Admit and Settle", AdmissionService.method.admit, request, serviceToken);
    expect(admitted.outcome).toMatchObject({ case: "admission", value: { outputTokensMax: 10n } });
    expect(await code(call("VerifyKey", verifyKey, { token }, token))).toBe(status.PERMISSION_DENIED);
    const voiding = AdmissionService.method.void;
    expect(await call("Admit and Settle", voiding, hold, serviceToken)).toBeDefined();
    expect(await code(call("Admit and Settle", voiding, hold, token))).toBe(status.PERMISSION_DENIED);
    expect(await code(call("VerifyKey", KeyService.method.listKeys, {}, token))).toBe(status.UNIMPLEMENTED);
  });
});
