import { Code } from "@connectrpc/connect";
import { startGrpcServer } from "@routeplane/rpc/server";
import { status } from "@grpc/grpc-js";
import { AdmissionService } from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { connectGrpc } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  MICRO_PER_TOKEN,
  type PolicyUnderTest,
  refusal,
  SERVICE_TOKEN,
  startPolicyUnderTest,
} from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const rpc = (token: string) => policy.as(token).admission;
const requestOf = (namespaceId: Id<"ns">, lineage: readonly Id<"key">[], micro = 10n) => ({
  namespaceId,
  keyId: lineage.at(-1) ?? "",
  requestId: newId("req"),
  lineage: [...lineage],
  price: MICRO_PER_TOKEN,
  outputTokensMax: micro,
});

/** A namespace with a budget, a key and a service credential that is bound to it. */
async function boundService(limitMicroUsd = 100n) {
  const budget = await policy.oneBudget(limitMicroUsd);
  const token = policy.service([budget.namespaceId]);
  const request = (micro?: bigint) => requestOf(budget.namespaceId, budget.key.lineage, micro);
  return { ...budget, token, request };
}

describe("a service credential", () => {
  it("admits, settles and voids requests of keys in its namespaces, within their budgets", async () => {
    const { token, total, request } = await boundService();
    const [first, second] = [request(100n), request(60n)];
    expect((await rpc(token).admit(first)).outcome.case).toBe("admission");
    expect(await total()).toMatchObject({ reservedNano: 100_000n });
    expect((await rpc(token).admit(second)).outcome.case).toBe("denial");
    expect((await rpc(token).admit(first)).outcome.case).toBe("admission");
    await rpc(token).settle({ ...first, costNanoUsd: 40_000n });
    expect((await rpc(token).admit(second)).outcome.case).toBe("admission");
    await rpc(token).void({ ...second, neverSent: true });
    expect(await total()).toMatchObject({ reservedNano: 0n, spentNano: 40_000n });
    expect(await refusal(rpc(token).admit(first))).toMatchObject({ reason: "STATE_CONFLICT" });
  });

  it.each(["with a budget", "without a limit"])(
    "is refused what it voided before, admitted or not, %s",
    async (limits) => {
      const { namespaceId, token, request, total } = await boundService();
      const elsewhere = newId("ns");
      const free = () => requestOf(elsewhere, policy.key(elsewhere).lineage);
      const isLimited = limits === "with a budget";
      const [by, next] = isLimited ? [token, request] : [policy.service([elsewhere]), free];
      const conflict = {
        code: Code.FailedPrecondition,
        reason: "STATE_CONFLICT",
        message: "this request is already voided",
      };
      const [unsent, admitted] = [next(), next()];
      await rpc(by).void(unsent);
      if (isLimited) {
        await rpc(by).admit(admitted);
        await rpc(by).void({ ...admitted, neverSent: true });
      }
      for (const voided of isLimited ? [unsent, admitted] : [unsent]) {
        for (let times = 0; times < 2; times++) expect(await refusal(rpc(by).admit(voided))).toMatchObject(conflict);
        await rpc(by).void(voided);
        await rpc(by).settle({ ...voided, costNanoUsd: 10_000n });
      }
      if (isLimited) expect(await total()).toMatchObject({ reservedNano: 0n, spentNano: 0n });
      // Only this id, and only for this service.
      expect((await rpc(by).admit({ ...unsent, requestId: newId("req") })).outcome.case).toBe("admission");
      const another = policy.service([isLimited ? namespaceId : elsewhere]);
      expect((await rpc(another).admit(unsent)).outcome.case).toBe("admission");
    },
  );

  it("gets the same bytes for a foreign and an unknown namespace, in every method", async () => {
    const [own, foreign] = [await boundService(), await boundService()];
    const victim = foreign.request(50n);
    await rpc(SERVICE_TOKEN).admit(victim);
    const { admit, settle, void: voidReservation } = rpc(own.token);
    const unknown = requestOf(newId("ns"), foreign.key.lineage);
    for (const call of [
      (request: typeof victim) => admit(request),
      (request: typeof victim) => settle({ ...request, costNanoUsd: 0n }),
      (request: typeof victim) => voidReservation(request),
    ]) {
      const ofUnknown = await refusal(call(unknown));
      expect(ofUnknown).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
      expect(await refusal(call(victim))).toEqual(ofUnknown);
      expect(await refusal(call({ ...victim, namespaceId: "ns_x" as Id<"ns"> }))).toEqual(ofUnknown);
    }
    expect(await foreign.total()).toMatchObject({ reservedNano: 50_000n, spentNano: 0n });
  });

  it("cannot evade a limit by a lineage that is not the key's", async () => {
    const { namespaceId, token, key } = await boundService();
    const [child, foreign] = [policy.key(namespaceId, key), policy.key(newId("ns"))];
    const everywhere = policy.service();
    for (const lineage of [
      [child.id],
      [...key.lineage, newId("key")],
      [...child.lineage].toReversed(),
      [newId("key"), ...child.lineage],
      foreign.lineage,
    ]) {
      const forged = requestOf(namespaceId, lineage);
      for (const by of [token, everywhere])
        expect(await refusal(rpc(by).admit(forged))).toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
    }
    expect((await rpc(token).admit(requestOf(namespaceId, child.lineage))).outcome.case).toBe("admission");
  });

  it("neither settles nor voids a reservation of a gateway or of another service", async () => {
    const { namespaceId, token, total, request } = await boundService();
    const another = policy.service([namespaceId]);
    for (const owner of [SERVICE_TOKEN, another]) {
      const reserved = request(10n);
      await rpc(owner).admit(reserved);
      await rpc(token).settle({ ...reserved, costNanoUsd: 0n });
      await rpc(token).void({ ...reserved, neverSent: true });
      expect(await total()).toMatchObject({ reservedNano: 10_000n });
      await rpc(owner).settle({ ...reserved, costNanoUsd: 10_000n });
      expect(await total()).toMatchObject({ reservedNano: 0n });
    }
    expect(await total()).toMatchObject({ spentNano: 20_000n });
  });

  it("occupies no request id or idempotency key of a gateway", async () => {
    const { token, total, request } = await boundService();
    const named = { ...request(10n), idempotencyKey: "retry-1" };
    await rpc(token).void(named);
    await rpc(token).admit({ ...request(10n), idempotencyKey: "retry-1" });
    expect((await rpc(SERVICE_TOKEN).admit(named)).outcome.case).toBe("admission");
    await rpc(SERVICE_TOKEN).settle({ ...named, costNanoUsd: 10_000n });
    expect(await total()).toMatchObject({ spentNano: 10_000n, reservedNano: 10_000n });
    const used = await refusal(rpc(token).admit({ ...request(10n), idempotencyKey: "retry-1" }));
    expect(used).toMatchObject({ reason: "IDEMPOTENCY_KEY_USED", metadata: {} });
  });

  it("admits nothing for a revoked key, and nothing within a gateway session", async () => {
    const { namespaceId, token, key, request } = await boundService();
    const child = policy.key(namespaceId, key);
    const inSession = { ...request(), sessionId: newId("gws") };
    expect(await refusal(rpc(token).admit(inSession))).toMatchObject({ fields: ["session_id"] });
    policy.revoke(key.id);
    for (const { lineage } of [key, child]) {
      const refused = await refusal(rpc(token).admit(requestOf(namespaceId, lineage)));
      expect(refused).toMatchObject({ code: Code.FailedPrecondition, reason: "STATE_CONFLICT" });
    }
  });

  it("admits for a key until it expires, and nothing from then on for it and the keys below it", async () => {
    const { namespaceId, key } = await boundService();
    const child = policy.key(namespaceId, key);
    const cases = [key, child].map(({ lineage }) => lineage);
    policy.expire(key.id, new Date(Date.now() + 3_600_000));
    const early = policy.service([namespaceId]);
    for (const lineage of cases)
      expect((await rpc(early).admit(requestOf(namespaceId, lineage))).outcome.case).toBe("admission");
    policy.expire(key.id, new Date());
    for (const lineage of cases) {
      const refused = await refusal(rpc(early).admit(requestOf(namespaceId, lineage)));
      expect(refused).toMatchObject({ code: Code.FailedPrecondition, reason: "STATE_CONFLICT" });
      expect(refused.message).toContain("has expired");
    }
  });

  it("needs the scope policy:admit, and cannot be used as a key", async () => {
    const { namespaceId, key, request } = await boundService();
    const verifying = policy.service([namespaceId], ["keys:verify"]);
    const denied = { code: Code.PermissionDenied, metadata: { scope: "policy:admit" } };
    expect(await refusal(rpc(verifying).admit(request()))).toMatchObject({ ...denied, reason: "SCOPE_MISSING" });
    for (const by of [key.token, policy.operator(["keys:*"])])
      expect(await refusal(rpc(by).void(request()))).toMatchObject({ ...denied, reason: "SERVICE_REQUIRED" });
    const asKey = await refusal(policy.as(verifying).policies.listPolicies({}));
    expect(asKey).toMatchObject({ code: Code.Unauthenticated, reason: "CREDENTIAL_INVALID" });
    expect(asKey.message).toContain("only verifies keys and admits requests");
  });

  it("is refused once it ends, and while the auth service does not answer", async () => {
    const { token, request } = await boundService();
    policy.authDown.value = true;
    const unanswered = await refusal(rpc(token).admit(request())).finally(() => (policy.authDown.value = false));
    expect(unanswered).toMatchObject({ code: Code.Unavailable, reason: "DEPENDENCY_UNAVAILABLE" });
    expect((await rpc(token).admit(request())).outcome.case).toBe("admission");
    policy.endService(token);
    expect(await refusal(rpc(token).admit(request()))).toMatchObject({ code: Code.Unauthenticated });
  });
});

it("does the same over grpc-js", async () => {
  const { token, total, request, key } = await boundService();
  const server = await startGrpcServer({ ...policy.wired, host: "127.0.0.1", port: 0 });
  const client = connectGrpc(`127.0.0.1:${server.port}`);
  const { admit, settle, void: voidReservation } = AdmissionService.method;
  const [own, ofGateway, foreign] = [request(30n), request(10n), requestOf(newId("ns"), key.lineage)];
  expect((await client.call(admit, own, { token })).outcome.case).toBe("admission");
  await client.call(admit, ofGateway, { token: SERVICE_TOKEN });
  await client.call(voidReservation, ofGateway, { token });
  await client.call(settle, { ...own, costNanoUsd: 30_000n }, { token });
  expect(await total()).toMatchObject({ reservedNano: 10_000n, spentNano: 30_000n });
  await expect(client.call(admit, foreign, { token })).rejects.toMatchObject({ code: status.NOT_FOUND });
  await expect(client.call(admit, own, { token })).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
  const unsent = request(10n);
  await client.call(voidReservation, unsent, { token });
  await expect(client.call(admit, unsent, { token })).rejects.toMatchObject({
    code: status.FAILED_PRECONDITION,
    details: "this request is already voided",
  });
  await expect(client.call(admit, own, { token: key.token })).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
  client.close();
  await server.stop();
});
