import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { DescMessage, DescMethod, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { type ServiceError, status } from "@grpc/grpc-js";
import { KeyService, VerificationService } from "@routeplane/contracts/auth";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { AdmissionService, PolicyService } from "@routeplane/contracts/policy";
import { UsageService } from "@routeplane/contracts/usage";
import { SERVICE_CALLERS } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { accessOf, internalCallerOf, isInternal, publishedServices } from "@routeplane/rpc";
import { CHECKOUT } from "@routeplane/standalone";
import { connectGrpc, type GrpcClient } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addressesOf } from "../harness/addresses.ts";
import { startNode, type TestNode } from "../harness/index.ts";

interface Secrets {
  readonly serviceToken: string;
  readonly serviceTokens: Readonly<Record<string, string>>;
}

/** Tests of plain gRPC on the services' own ports, as internal callers use it. */

let node: TestNode;
const clients = new Map<string, GrpcClient>();

beforeAll(async () => {
  node = await startNode();
  const { auth, policy, usage, grpc } = await addressesOf(node);
  const addresses = { auth, policy, usage, VerifyKey: grpc.auth, "Admit and Settle": grpc.policy };
  for (const [service, address] of Object.entries(addresses)) clients.set(service, connectGrpc(address));
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
  it.each(["auth", "policy", "usage", "VerifyKey", "Admit and Settle"])(
    "gets SERVING from the health service of %s",
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

  it("needs no contract files: buf curl learns the methods of a port by reflection, and calls one", async () => {
    const { auth } = await addressesOf(node);
    const url = `http://${auth}/routeplane.auth.v1.IdentityService/WhoAmI`;
    const credential = ["-H", `authorization: Bearer ${await node.apiKey()}`];
    const options = ["--protocol", "grpc", "--http2-prior-knowledge", ...credential, "-d", "{}"];
    const buf = join(CHECKOUT, "node_modules/.bin/buf");
    const { stdout } = await promisify(execFile)(buf, ["curl", ...options, url]);
    expect(JSON.parse(stdout)).toMatchObject({ key: { name: "root" } });
  });

  it("gets the gRPC status of each refusal", async () => {
    const token = await node.apiKey();
    expect(await code(call("auth", KeyService.method.listKeys, {}))).toBe(status.UNAUTHENTICATED);
    expect(await code(call("auth", KeyService.method.getKey, { id: "key_x" }, token))).toBe(status.NOT_FOUND);
    expect(await code(call("auth", KeyService.method.mintKey, {}, token))).toBe(status.INVALID_ARGUMENT);
    expect(await code(call("auth", VerificationService.method.verifyKey, { token }, token))).toBe(
      status.PERMISSION_DENIED,
    );
  });

  it("calls the hot methods on their own ports with the workload credential, and not with a key", async () => {
    const token = await node.apiKey();
    const { serviceToken } = JSON.parse(await readFile(join(node.home, "secrets.json"), "utf8")) as Secrets;
    const { verifyKey } = VerificationService.method;
    const { outcome } = await call("VerifyKey", verifyKey, { token }, serviceToken);
    if (outcome.case !== "key") throw new Error(`not a key, but ${outcome.case}`);
    const { keyId, namespaceId } = outcome.value;
    expect(keyId).toMatch(/^key_/);
    const reservationKey = { namespaceId, keyId, requestId: newId("req") };
    const request = {
      namespaceId,
      requestId: reservationKey.requestId,
      lineage: [keyId],
      price: {},
      outputTokensMax: 10n,
    };
    const admitted = await call("Admit and Settle", AdmissionService.method.admit, request, serviceToken);
    expect(admitted.outcome).toMatchObject({ case: "admission", value: { outputTokensMax: 10n } });
    expect(await code(call("VerifyKey", verifyKey, { token }, token))).toBe(status.PERMISSION_DENIED);
    const voiding = AdmissionService.method.void;
    expect(await call("Admit and Settle", voiding, reservationKey, serviceToken)).toBeDefined();
    expect(await code(call("Admit and Settle", voiding, reservationKey, token))).toBe(status.PERMISSION_DENIED);
    expect(await code(call("VerifyKey", KeyService.method.listKeys, {}, token))).toBe(status.UNIMPLEMENTED);
  });
});

describe("a service credential", () => {
  const internal = Object.entries(publishedServices()).flatMap(([name, services]) =>
    services
      .flatMap(({ methods }) => methods)
      .filter(isInternal)
      .map((method) => ({ name, method })),
  );
  const knock = (name: string, method: DescMethod, token: string): Promise<unknown> => {
    const path = `/${method.parent.typeName}/${method.name}`;
    // A change feed that is not refused goes on until the time limit.
    const limit = method.methodKind === "unary" ? {} : { timeoutMs: 3_000 };
    return code(clients.get(name)!.send(path, new Uint8Array(), { token, ...limit }));
  };
  let tokens: Readonly<Record<string, string>>;

  beforeAll(async () => {
    const { serviceToken, serviceTokens } = JSON.parse(
      await readFile(join(node.home, "secrets.json"), "utf8"),
    ) as Secrets;
    tokens = { ...serviceTokens, workload: serviceToken };
  });

  it("is different for each caller", () => {
    expect(new Set(Object.keys(tokens))).toEqual(new Set(SERVICE_CALLERS));
    expect(new Set(Object.values(tokens)).size).toBe(SERVICE_CALLERS.length);
  });

  it.each(internal)(
    "calls $method.parent.name/$method.name if its contract names the caller, and is refused otherwise",
    async (target) => {
      const admitted = new Set(accessOf(target.method).map(internalCallerOf));
      const callers = Object.entries(tokens).map(async ([caller, token]) => {
        const isDenied = (await knock(target.name, target.method, token)) === status.PERMISSION_DENIED;
        expect([caller, isDenied]).toEqual([caller, !admitted.has(caller)]);
      });
      await Promise.all(callers);
    },
  );

  it("of usage can neither admit, settle nor void", async () => {
    for (const method of Object.values(AdmissionService.method)) {
      for (const name of ["policy", "Admit and Settle"]) {
        expect(await knock(name, method, tokens["usage"] ?? "")).toBe(status.PERMISSION_DENIED);
      }
    }
  });
});
