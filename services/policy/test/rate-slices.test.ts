import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Dimension, ReportOutcome } from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Binding, newPolicy } from "../src/domain/policies/policy.ts";
import { openGateway } from "./gateway-under-test.ts";
import { type PolicyUnderTest, requestOf, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const WINDOW_SECS = 60;
const { REQUESTS, TOKENS, CONCURRENT } = Dimension;

/** Session on a rate limit of 640 requests, 64,000 tokens a minute and 640 slots. */
async function gatewayOn() {
  const namespaceId = newId("ns");
  const key = policy.key(namespaceId);
  const limits = { windowSecs: WINDOW_SECS, maxRequests: 640n, maxTokens: 64_000n, maxConcurrent: 640n };
  const { policy: made, binding } = await policy.bound(namespaceId, { kind: "rate_limit", ...limits });
  const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
  await gateway.renew();
  const ask = (dimension: Dimension, amounts: object = {}) => ({ bindingId: binding.id, dimension, ...amounts });
  const acquire = async (...counters: ReturnType<typeof ask>[]) => {
    const { grants } = await gateway.acquire({ namespaceId, limitSet: 1, counters });
    return { isGranted: grants[0]?.granted, counters: grants[0]?.counters ?? [] };
  };
  return {
    ...gateway,
    namespaceId,
    key,
    ask,
    acquire,
    bindingId: binding.id,
    made,
    counted: () => counted(binding.id),
  };
}

/** Sums of the rings of a counter, read as the superuser. */
async function counted(bindingId: Id<"bnd">) {
  const { rows } = await policy.admin.within({}, (tx) =>
    sql<{ requests: bigint; tokens: bigint; slots: bigint }>`
      select (select coalesce(sum(each), 0) from unnest(requests[3:]) each) as requests,
        (select coalesce(sum(each), 0) from unnest(tokens[3:]) each) as tokens, open_holds as slots
      from counters where binding_id = ${bindingId}`.execute(tx),
  );
  return rows[0];
}

describe("a rate slice", () => {
  it("is counted at its end, at once, and ends with a bucket of the window", async () => {
    const { ask, acquire, counted: sums } = await gatewayOn();
    const before = Date.now();
    const { isGranted, counters } = await acquire(
      ask(REQUESTS, { needed: 1n, wanted: 100n }),
      ask(TOKENS, { needed: 100n, wanted: 0n }),
    );
    expect(isGranted).toBe(true);
    const [requests, tokens] = counters.map(({ rate }) => rate);
    // The needed one, and a 32nd of the limit.
    expect([requests?.amount, tokens?.amount]).toEqual([21n, 100n]);
    const { countedAt, validMs = 0 } = requests ?? {};
    const countedAtMs = countedAt === undefined ? 0 : timestampMs(countedAt);
    expect(countedAtMs).toBeGreaterThanOrEqual(before + validMs);
    // The present bucket, or the next one if less than a quarter of it is left.
    expect((countedAtMs + 1) % 600).toBe(0);
    expect(validMs).toBeGreaterThanOrEqual(149);
    expect(validMs).toBeLessThan(750);
    expect(await sums()).toMatchObject({ requests: 21n, tokens: 100n });
    expect(counters.map(({ remaining }) => remaining)).toEqual([619n, 63_900n]);
  });

  it("that was not used up is taken back, once", async () => {
    const { ask, acquire, counted: sums } = await gatewayOn();
    const { counters } = await acquire(ask(REQUESTS, { needed: 1n, wanted: 100n }));
    const countedAt = counters[0]?.rate?.countedAt ?? expect.fail("no slice");
    await acquire(ask(REQUESTS, { rateReturns: [{ amount: 15n, countedAt }] }));
    expect(await sums()).toMatchObject({ requests: 6n });
  });

  it("gives back the tokens that a request did not use, and a request that was never sent, by its report", async () => {
    const { ask, acquire, counted: sums, report, settled, namespaceId } = await gatewayOn();
    const { counters } = await acquire(ask(REQUESTS, { needed: 4n }), ask(TOKENS, { needed: 400n }));
    const countedAt = counters[1]?.rate?.countedAt ?? expect.fail("no slice");
    const one = { tokensMax: 100n, countedAt };
    const over = (tokens: bigint) =>
      settled(namespaceId, 0n, 0n, { ...one, end: { case: "settled", value: { costNanoUsd: 0n, tokens } } });
    const end = (neverSent: boolean) =>
      settled(namespaceId, 0n, 0n, { ...one, end: { case: "released", value: { neverSent } } });
    const unknown = settled(namespaceId, 0n, 0n, { ...one, end: { case: "unknown", value: {} } });
    const reports = [over(30n), end(true), end(false), unknown];
    for (let repetition = 0; repetition < 2; repetition++)
      expect(await report(...reports)).toEqual(reports.map(() => ReportOutcome.DONE));
    expect(await sums()).toMatchObject({ requests: 3n, tokens: 130n });
    // Later usage corrects the same bucket; usage beyond the bound is added there.
    await report({ ...unknown, end: { case: "settled", value: { costNanoUsd: 0n, tokens: 250n } } });
    expect(await sums()).toMatchObject({ tokens: 280n });
  });

  it("together with central admissions never admits more than the limit", async () => {
    const { ask, acquire, namespaceId, key } = await gatewayOn();
    let granted = 0n;
    for (let round = 0; round < 40; round++) {
      const { counters } = await acquire(ask(REQUESTS, { needed: 1n, wanted: 1_000n }));
      granted += counters[0]?.rate?.amount ?? 0n;
      const admitted = await policy.admission.admit(requestOf(namespaceId, key.lineage, 1n));
      if (admitted.outcome === "admitted") granted += 1n;
    }
    // The window has not passed.
    expect(granted).toBeLessThanOrEqual(640n);
    expect(granted).toBeGreaterThan(600n);
  });

  it("is not granted on a limit that is central, gone or disabled", async () => {
    const { ask, acquire, made, namespaceId } = await gatewayOn();
    const { binding } = await policy.bound(namespaceId, { kind: "rate_limit", windowSecs: 9, maxRequests: 1_000n });
    const central = await acquire(ask(REQUESTS, { bindingId: binding.id, needed: 1n }));
    expect(central).toMatchObject({ isGranted: false, counters: [{ gone: true }] });
    await policy.tamper(sql`update policies set spec = '{"window_secs": 60, "max_tokens": 5}' where id = ${made.id}`);
    expect(await acquire(ask(REQUESTS, { needed: 1n }))).toMatchObject({
      isGranted: false,
      counters: [{ gone: true }],
    });
    expect(await acquire(ask(TOKENS, { needed: 5n }))).toMatchObject({ isGranted: true });
    await policy.disable(made.id);
    expect(await acquire(ask(TOKENS))).toMatchObject({ isGranted: false, counters: [{ gone: true }] });
  });

  it("cannot be returned for a time at which nothing was counted", async () => {
    const { ask, acquire, counted: sums } = await gatewayOn();
    await acquire(ask(REQUESTS, { needed: 5n }));
    await acquire(ask(REQUESTS, { rateReturns: [{ amount: 5n, countedAt: timestampFromMs(Date.now() - 30_000) }] }));
    expect(await sums()).toMatchObject({ requests: 5n });
  });
});

describe("slots", () => {
  it("are granted and returned as sums, and no report uses one up", async () => {
    const { ask, acquire, counted: sums, report, settled, namespaceId } = await gatewayOn();
    const first = await acquire(ask(CONCURRENT, { needed: 2n, wanted: 100n }));
    expect(first).toMatchObject({ isGranted: true, counters: [{ granted: 22n }] });
    expect(await sums()).toMatchObject({ slots: 22n });
    await report(settled(namespaceId, 0n, 0n));
    expect(await sums()).toMatchObject({ slots: 22n });
    await acquire(ask(CONCURRENT, { granted: 22n, returned: 20n }));
    expect(await sums()).toMatchObject({ slots: 2n });
  });

  it("of a session that is closed are free", async () => {
    const { ask, acquire, counted: sums, close } = await gatewayOn();
    await acquire(ask(CONCURRENT, { needed: 30n }));
    await close();
    expect(await sums()).toMatchObject({ slots: 0n });
  });
});

describe("1,024 counters", () => {
  it("are granted and reported on in one call", async () => {
    const namespaceId = newId("ns");
    const keyIds = Array.from({ length: 16 }, () => newId("key"));
    const bindings: Binding[] = [];
    for (let n = 0; n < 64; n++) {
      const spec = { kind: "budget", window: "day", limitMicroUsd: 1_000n } as const;
      const made = newPolicy({ namespaceId, lineage: [] }, { name: `budget ${n}`, spec }, 0, new Date());
      const recorded = { createdAt: new Date(), creatorLineage: [], principalLineage: [], mode: "enforce" } as const;
      const onKeys = keyIds.map((id) =>
        Object.assign(
          { id: newId("bnd"), namespaceId, policyId: made.id, principal: { type: "api_key" as const, id } },
          recorded,
        ),
      );
      await policy.policies.add(made, onKeys);
      bindings.push(...onKeys);
    }
    const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
    await gateway.renew();
    const counters = bindings.map(({ id: bindingId }) => ({
      bindingId,
      dimension: Dimension.MONEY,
      needed: 1_000n,
    }));
    const { grants } = await gateway.acquire({ namespaceId, limitSet: 1, counters });
    expect(grants).toMatchObject([{ granted: true }]);
    expect(await gateway.report(gateway.settled(namespaceId, 1_000n, 900n))).toEqual([ReportOutcome.DONE]);
    const totals = [...(await policy.totals(namespaceId)).values()];
    expect(new Set(totals.map(({ spentNano, reservedNano }) => `${spentNano} ${reservedNano}`))).toEqual(
      new Set(["900 100"]),
    );
    expect(totals).toHaveLength(1_024);
  }, 60_000);
});
