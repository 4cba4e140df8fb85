import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { KeyService, VerificationService } from "@routeplane/contracts/auth";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { PolicyService } from "@routeplane/contracts/policy";
import { UsageService } from "@routeplane/contracts/usage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";

/** Internal services call plain gRPC on the services' own ports, with whatever gRPC library they have. */

let node: TestNode;
const clients = new Map<string, Client>();

beforeAll(async () => {
  node = await startNode();
  for (const [, service = "", address = ""] of node.stdout().matchAll(/\b(auth|policy|usage) (127\.0\.0\.1:\d+)/g)) {
    clients.set(service, new Client(address, credentials.createInsecure()));
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
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  return new Promise((resolve, reject) => {
    clients.get(service)!.makeUnaryRequest(
      `/${method.parent.typeName}/${method.name}`,
      (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
      (bytes: Buffer) => fromBinary(method.output, bytes),
      create(method.input, request),
      metadata,
      { deadline: Date.now() + 10_000 },
      (error, response) => (response === undefined ? reject(error ?? new Error("no answer")) : resolve(response)),
    );
  });
}

const code = (call: Promise<unknown>): Promise<unknown> => call.catch((error: ServiceError) => error.code);

describe("a gRPC client", () => {
  it("finds every service's port in what `up` prints", () => {
    expect([...clients.keys()].toSorted()).toEqual(["auth", "policy", "usage"]);
  });

  it.each(["auth", "policy", "usage"])("is told by %s's health service that it serves", async (service) => {
    const { status: health } = await call(service, Health.method.check, {});
    expect(health).toBe(Status.SERVING);
  });

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
});
