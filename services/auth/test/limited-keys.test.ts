import { createClient, createRouterTransport } from "@connectrpc/connect";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { VerificationService } from "@routeplane/contracts/auth";
import { BudgetWindow, type BindMintedLimitsRequest, PresetSpecSchema } from "@routeplane/contracts/policy";
import { DomainError } from "@routeplane/domain";
import { toConnectError } from "@routeplane/rpc";
import { authorized } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, GATEWAY_TOKEN, POLICY_TOKEN, refusal, startAuthUnderTest } from "./auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const limits = create(PresetSpecSchema, { budget: { window: BudgetWindow.TOTAL, limitMicroUsd: 5_000_000n } });
const sub = { name: "limited", scopes: ["inference:invoke", "keys:write"], limits };

function asService(token: string) {
  const { routes, interceptors } = auth.wired;
  const transport = createRouterTransport(routes, { router: { interceptors } });
  return createClient(VerificationService, authorized(transport, token));
}

async function listedKeys(): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let after = { afterNamespaceId: "", afterKeyId: "" }; ;) {
    const { keys } = await asService(POLICY_TOKEN).listRevokedKeys(after);
    const last = keys.at(-1);
    if (last === undefined) return ids;
    ids.push(...keys.map(({ keyId }) => keyId));
    after = { afterNamespaceId: last.namespaceId, afterKeyId: last.keyId };
  }
}

async function tamper(statement: ReturnType<typeof sql>): Promise<void> {
  await auth.admin.within({}, (tx) => statement.execute(tx));
}

const makeOverdue = (keyId: string) =>
  tamper(sql`update limited_keys set ends_at = now() - interval '1 second' where key_id = ${keyId}`);

/** Runs a mint, and `work` during its call to the policy service. @returns the id of the key, and the error of the mint if it failed */
async function mintDuring(mint: () => Promise<unknown>, work: (request: BindMintedLimitsRequest) => Promise<void>) {
  let keyId = "";
  const release = auth.policy.during(async (request) => {
    keyId = request.keyId;
    await work(request);
  });
  const outcome = await mint().then(
    () => undefined,
    (error: unknown) => error,
  );
  release();
  return { keyId, failure: outcome };
}

describe("a key that is minted with limits", () => {
  it("exists once its limits are bound, with the token of the minter, and not before", async () => {
    const root = await auth.rootKey();
    const keys = auth.as(root.token).keys;
    let during: readonly unknown[] = [];
    const release = auth.policy.during(async ({ keyId, namespaceId }) => {
      const mint = await asService(POLICY_TOKEN).resolveMint({ namespaceId, keyId });
      const got = await refusal(keys.getKey({ id: keyId }));
      const resolved = await refusal(asService(POLICY_TOKEN).resolveKey({ namespaceId, keyId }));
      during = [mint.lineage, mint.actorType, mint.actorId, got.reason, resolved.reason];
    });
    const minted = await keys.mintKey(sub);
    release();
    const id = minted.key?.id ?? "";
    const call = auth.policy.calls.at(-1);
    expect(call?.authorization).toBe(`Bearer ${root.token}`);
    expect(call?.request).toMatchObject({ keyId: id, namespaceId: auth.namespaceId, limits });
    expect(during).toEqual([[root.id, id], "api_key", root.id, "RESOURCE_NOT_FOUND", "RESOURCE_NOT_FOUND"]);
    expect(minted.limitsPolicyId).toMatch(/^pol_/);
    expect(await auth.verify(minted.token)).toMatchObject({ case: "key", value: { keyId: id } });
    expect(
      await refusal(asService(POLICY_TOKEN).resolveMint({ namespaceId: auth.namespaceId, keyId: id })),
    ).toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
    expect(await listedKeys()).not.toContain(id);
  });

  it("can be a root key, minted by an operator", async () => {
    const { keys } = auth.as(auth.operatorToken);
    const { key, token, limitsPolicyId } = await keys.mintRootKey({ ...sub, namespace: "default" });
    expect(auth.policy.calls.at(-1)?.authorization).toBe(`Bearer ${auth.operatorToken}`);
    expect(limitsPolicyId).toMatch(/^pol_/);
    expect(await auth.verify(token)).toMatchObject({ case: "key", value: { lineage: [key?.id] } });
  });

  it("is minted without a call to the policy service if it has no limits", async () => {
    const root = await auth.rootKey();
    const before = auth.policy.calls.length;
    const { limitsPolicyId } = await auth.as(root.token).keys.mintKey({ name: "plain", scopes: ["keys:read"] });
    expect([limitsPolicyId, auth.policy.calls.length]).toEqual(["", before]);
  });

  it.each([
    ["a refusal, which is passed on", true, "LIMIT_EXCEEDS_PARENT"],
    ["a fault", false, "DEPENDENCY_UNAVAILABLE"],
  ])("does not exist after %s of the policy service", async (_, isRefusal, reason) => {
    const root = await auth.rootKey();
    const fields = [{ field: "limits.budget.limit_micro_usd", rule: "must not be above 3" }];
    const error = new DomainError("permission_denied", "LIMIT_EXCEEDS_PARENT", "above", { fields });
    const { keyId, failure } = await mintDuring(
      () => auth.as(root.token).keys.mintKey(sub),
      async () => {
        throw isRefusal ? toConnectError(error) : new Error("it died");
      },
    );
    expect(await refusal(Promise.reject(failure))).toMatchObject({ reason });
    expect(await refusal(auth.as(root.token).keys.getKey({ id: keyId }))).toMatchObject({
      reason: "RESOURCE_NOT_FOUND",
    });
  });

  it("does not exist if its mint took too long, and is listed until the removal of its limits is acknowledged", async () => {
    const root = await auth.rootKey();
    const { keyId, failure } = await mintDuring(
      () => auth.as(root.token).keys.mintKey(sub),
      async ({ keyId: minting }) => {
        await makeOverdue(minting);
        expect(await listedKeys()).toContain(minting);
        // A mint that was listed cannot be completed, even if its time is extended.
        await tamper(sql`update limited_keys set ends_at = now() + interval '1 hour' where key_id = ${minting}`);
      },
    );
    expect(await refusal(Promise.reject(failure))).toMatchObject({ reason: "DEPENDENCY_UNAVAILABLE" });
    expect(await refusal(auth.as(root.token).keys.getKey({ id: keyId }))).toMatchObject({
      reason: "RESOURCE_NOT_FOUND",
    });
    expect(await listedKeys()).toContain(keyId);
    await asService(POLICY_TOKEN).acknowledgeRevokedKeys({ keyIds: [keyId] });
    expect(await listedKeys()).not.toContain(keyId);
  });

  it("is either completed or listed as ended, whichever of the two comes first", async () => {
    const root = await auth.rootKey();
    const before = auth.policy.calls.length;
    // The time of each mint ends at about the moment of its completion.
    const release = auth.policy.during(({ keyId }) =>
      tamper(sql`update limited_keys set ends_at = now() + ${Math.random() * 400} * interval '1 millisecond'
        where key_id = ${keyId}`),
    );
    const listed = new Set<string>();
    const over = new AbortController();
    const listing = (async () => {
      while (!over.signal.aborted) for (const id of await listedKeys()) listed.add(id);
    })();
    const mint = (name: string) =>
      auth
        .as(root.token)
        .keys.mintKey({ ...sub, name })
        .then(
          ({ key }) => key?.id,
          () => undefined,
        );
    const completed = new Set(await Promise.all(Array.from({ length: 12 }, (_, index) => mint(`raced ${index}`))));
    release();
    over.abort();
    await listing;
    for (const id of await listedKeys()) listed.add(id);
    const begun = auth.policy.calls.slice(before).map(({ request }) => request.keyId);
    expect(begun.length).toBeGreaterThan(0);
    expect(begun.filter((id) => completed.has(id) === listed.has(id))).toEqual([]);
  });

  it("is refused if the token of the minter was rotated meanwhile", async () => {
    const root = await auth.rootKey();
    const keys = auth.as(root.token).keys;
    const { failure } = await mintDuring(
      () => keys.mintKey(sub),
      async () => void (await keys.rotateKey({ id: root.id, grace: { seconds: 60n } })),
    );
    expect(await refusal(Promise.reject(failure))).toMatchObject({ reason: "CREDENTIAL_REPLACED" });
  });

  it.each([
    [
      "a root key",
      async () => {
        const { id, token } = await auth.operator();
        return { id, mint: () => auth.as(token).keys.mintRootKey({ ...sub, namespace: "default" }) };
      },
    ],
    [
      "a sub-key of the console key, by a session",
      async () => {
        const operator = await auth.operator();
        const { token } = await auth.as(operator.token).sessions.createSession({ namespace: "default" });
        return { id: operator.id, mint: () => auth.as(token).keys.mintKey(sub) };
      },
    ],
  ])("is refused if the operator credential behind it was revoked meanwhile: %s", async (_, begin) => {
    const { id, mint } = await begin();
    const { keyId, failure } = await mintDuring(
      mint,
      async () => void (await auth.as(auth.operatorToken).operators.revokeOperator({ id })),
    );
    expect(await refusal(Promise.reject(failure))).toMatchObject({ reason: "CREDENTIAL_REVOKED" });
    const root = await auth.rootKey();
    expect(await refusal(auth.as(root.token).keys.getKey({ id: keyId }))).toMatchObject({
      reason: "RESOURCE_NOT_FOUND",
    });
  });

  it("is listed once it has expired, a minute later, although nobody revoked it", async () => {
    const root = await auth.rootKey();
    const expiresAt = Date.now() + 3_600_000;
    const minted = await auth.as(root.token).keys.mintKey({ ...sub, expiresAt: timestampFromMs(expiresAt) });
    const id = minted.key?.id ?? "";
    const rows = await auth.admin.within({}, (tx) =>
      tx
        .selectFrom("limited_keys")
        .select("ends_at")
        .where("key_id", "=", sql<never>`${id}`)
        .execute(),
    );
    expect(rows).toEqual([{ ends_at: new Date(expiresAt + 60_000) }]);
    expect(await listedKeys()).not.toContain(id);
    await makeOverdue(id);
    const { keys } = await asService(POLICY_TOKEN).listRevokedKeys({});
    expect(keys.find(({ keyId }) => keyId === id)).toMatchObject({ namespaceId: auth.namespaceId, actorType: "" });
    await auth.as(root.token).keys.revokeKey({ id });
    expect((await listedKeys()).filter((listed) => listed === id)).toHaveLength(1);
    await asService(POLICY_TOKEN).acknowledgeRevokedKeys({ keyIds: [id] });
    expect(await listedKeys()).not.toContain(id);
  });

  it("is checked against the grant rules before anything is bound", async () => {
    const root = await auth.rootKey("default", ["keys:write"]);
    const before = auth.policy.calls.length;
    const refused = await refusal(auth.as(root.token).keys.mintKey(sub));
    expect([refused.reason, auth.policy.calls.length]).toEqual(["SCOPE_EXCEEDS_PARENT", before]);
  });

  it("is refused for empty or invalid limits, naming the field", async () => {
    const root = await auth.rootKey();
    const empty = await refusal(auth.as(root.token).keys.mintKey({ ...sub, limits: {} }));
    expect(empty.message).toContain("limits");
    const budget = { window: BudgetWindow.TOTAL, limitMicroUsd: 0n };
    const zero = await refusal(auth.as(root.token).keys.mintKey({ ...sub, limits: { budget } }));
    expect(zero.message).toContain("limits.budget.limit_micro_usd");
  });
});

it("reveals a mint to the policy service only", async () => {
  const mint = { namespaceId: auth.namespaceId, keyId: "key_00000000000000000000000000" };
  expect(await refusal(asService(GATEWAY_TOKEN).resolveMint(mint))).toMatchObject({ reason: "INTERNAL_ONLY" });
});
