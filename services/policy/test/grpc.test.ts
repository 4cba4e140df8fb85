import { startGrpcServer } from "@routeplane/rpc/server";
import { type ServiceError, status } from "@grpc/grpc-js";
import { AdmissionService } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { connectGrpc } from "@routeplane/testing";
import { afterAll, describe, expect, it } from "vitest";
import { MICRO_PER_TOKEN, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";

const policy = await startPolicyUnderTest();
const server = await startGrpcServer({ ...policy.wired, host: "127.0.0.1", port: 0 });
const client = connectGrpc(`127.0.0.1:${server.port}`);
afterAll(async () => {
  client.close();
  await server.stop();
  await policy.stop();
});

const { admit, settle, void: voidReservation } = AdmissionService.method;
const service = { token: SERVICE_TOKEN };

describe("over plain gRPC", () => {
  it("a request is admitted within its budget, settled, and denied in the response once nothing is left", async () => {
    const { namespaceId, key, total } = await policy.oneBudget(100n);
    const request = (micro: bigint) => ({
      namespaceId,
      keyId: key.id,
      requestId: newId("req"),
      lineage: [...key.lineage],
      price: MICRO_PER_TOKEN,
      outputTokensMax: micro,
    });
    const first = request(100n);
    expect((await client.call(admit, first, service)).outcome.case).toBe("admission");
    expect(await total()).toMatchObject({ reservedNano: 100_000n, spentNano: 0n });
    await client.call(settle, { ...first, costNanoUsd: 100_000n }, service);
    expect(await total()).toMatchObject({ reservedNano: 0n, spentNano: 100_000n });
    expect((await client.call(admit, request(1n), service)).outcome.case).toBe("denial");
  });

  it("a reservation is voided by every repeated call", async () => {
    const reservationKey = { namespaceId: newId("ns"), keyId: newId("key"), requestId: newId("req") };
    await client.call(voidReservation, reservationKey, service);
    await client.call(voidReservation, reservationKey, service);
  });

  it("only the services of the node admit, and a malformed request is refused before the ledger", async () => {
    const { key, namespaceId } = policy.newNamespace();
    const codeOf = (request: object, options: object) =>
      client.call(admit, request, options).catch(({ code }: ServiceError) => code as unknown);
    const request = { namespaceId, requestId: newId("req"), lineage: [key.id], price: MICRO_PER_TOKEN };
    expect(await codeOf(request, {})).toBe(status.UNAUTHENTICATED);
    expect(await codeOf(request, { token: key.token })).toBe(status.PERMISSION_DENIED);
    expect(await codeOf({ ...request, price: undefined }, service)).toBe(status.INVALID_ARGUMENT);
    expect(await codeOf({ ...request, outputTokensMax: -1n }, service)).toBe(status.INVALID_ARGUMENT);
  });
});
