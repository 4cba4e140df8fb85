import { PrincipalType } from "@routeplane/contracts/policy";
import { RequestStatus } from "@routeplane/contracts/usage";
import { newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expireReservation } from "../src/domain/admission/reservation.ts";
import { createLedger } from "../src/store/ledger.ts";
import { openGateway } from "./gateway-under-test.ts";
import { type PolicyUnderTest, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

/** Lost session with a slice of 1,000 nano-USD, of which 300 may be in doubt, and what its log has. */
async function lostSession() {
  const budget = await policy.oneBudget(1_000_000n, "total");
  const { namespaceId } = budget.key;
  const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
  const { sessionId } = gateway;
  await gateway.renew();
  await gateway.money(namespaceId, budget.binding.id, { needed: 1_000n, doubt: 300n });
  await policy.tamper(sql`update gateway_sessions set state = 'ended', ended_at = now() where id = ${sessionId}`);
  const keyId = budget.key.lineage[0] ?? newId("key");
  /** Adds a request to the log, or changes it. */
  const log = (requestId: string, status: RequestStatus, costNanoUsd = 0n) => {
    const known = policy.usage.sessionRequests.find((each) => each.requestId === requestId);
    const request = known ?? { namespaceId, sessionId, keyId, requestId, limitSet: 1, reservedNanoUsd: 100n };
    Object.assign(request, { status, costNanoUsd });
    if (known === undefined) policy.usage.sessionRequests.push(request);
  };
  const stateOf = async (): Promise<string | undefined> => {
    const { rows } = await policy.admin.within({}, (tx) =>
      sql<{ state: string }>`select state from gateway_sessions where id = ${sessionId}`.execute(tx),
    );
    return rows[0]?.state;
  };
  /** Does what is due, with the time advanced so that a sweep is due. */
  const sweep = async (): Promise<void> => {
    await policy.tamper(
      sql`update gateway_sessions set settled_at = settled_at - interval '2 days' where id = ${sessionId}`,
    );
    await run();
    await run();
  };
  const expire = async (): Promise<void> => {
    await policy.tamper(
      sql`update holds set expires_at = now() where namespace_id = ${namespaceId} and state = 'open'`,
    );
    await createLedger(policy.database).expireDue(namespaceId, expireReservation);
  };
  const amounts = async () => {
    const { spentNano, reservedNano } = (await budget.total()) ?? expect.fail("no counter");
    return { spentNano, reservedNano };
  };
  const as = policy.as(budget.key.token);
  return { ...gateway, ...budget, as, keyId, log, stateOf, sweep, expire, amounts };
}

const run = () => policy.endings.run();

it("is shown by the effective policy as leased while it may be spent, and as held back once it is settled", async () => {
  const { namespaceId, as, amounts } = await lostSession();
  const shown = async () => {
    const { effectivePolicy } = await as.effective.getEffectivePolicy({
      principalType: PrincipalType.NAMESPACE,
      principalId: namespaceId,
    });
    const [budget] = effectivePolicy?.budgets ?? [];
    return [budget?.reservedMicroUsd, budget?.leasedMicroUsd, budget?.heldBackMicroUsd];
  };
  expect(await shown()).toEqual([1n, 1n, 0n]);
  await run();
  await run();
  expect(await amounts()).toMatchObject({ reservedNano: 300n });
  // Rounded up, as every amount that is used.
  expect(await shown()).toEqual([1n, 0n, 1n]);
});

it("is settled in every other namespace if one of them fails, and in that one once it is repaired", async () => {
  const { namespaceId, binding, sessionId, amounts, stateOf } = await lostSession();
  const second = await policy.oneBudget(1_000_000n, "total");
  await policy.tamper(sql`update gateway_sessions set state = 'open', ended_at = null where id = ${sessionId}`);
  const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions, sessionId);
  await gateway.money(second.namespaceId, second.binding.id, { needed: 1_000n }, 2);
  await policy.tamper(sql`update gateway_sessions set state = 'ended', ended_at = now() where id = ${sessionId}`);
  expect(namespaceId < second.namespaceId).toBe(true);
  // A window of another release.
  await policy.tamper(sql`update counters set spend = array_fill(1, array[200]) where binding_id = ${binding.id}`);
  await run();
  await expect(run()).rejects.toThrow("a window cannot be read");
  expect((await second.total())?.reservedNano).toBe(0n);
  expect(await stateOf()).toBe("ended");
  await policy.tamper(sql`update counters set spend = null where binding_id = ${binding.id}`);
  await run();
  expect([await stateOf(), (await amounts()).reservedNano]).toEqual(["settled", 300n]);
});

it("is reconciled: slices count as reserved, and a session with slices that its state does not allow is reported", async () => {
  const { namespaceId, binding, sessionId } = await lostSession();
  const operator = policy.as(policy.operator(["usage:read"])).budgetAdmin;
  const differences = async () => {
    const { differences: all } = await operator.reconcileBudgets({});
    return all.flatMap((each) => (each.namespaceId === namespaceId ? [each.subject] : []));
  };
  expect(await differences()).toEqual([]);
  await policy.tamper(sql`update counters set reserved_nano = reserved_nano + 5000 where binding_id = ${binding.id}`);
  expect(await differences()).toMatchObject([
    { case: "counter", value: { quantity: "reserved", countedMicroUsd: 6n, expectedMicroUsd: 1n } },
  ]);
  await policy.tamper(sql`update counters set reserved_nano = reserved_nano - 5000 where binding_id = ${binding.id}`);
  const named = { sessionId, bindingId: binding.id, setAsideMicroUsd: 1n };
  const states = [
    [sql`state = 'closed', closed_at = now() - interval '1 hour'`, "closed"],
    [sql`state = 'settled', settled_at = now(), claimed_until = now() + interval '1 hour'`, "settled"],
    [sql`state = 'open', renewed_at = now() - interval '1 hour'`, "not_ended"],
  ] as const;
  for (const [state, fault] of states) {
    await policy.tamper(sql`update gateway_sessions set ${state} where id = ${sessionId}`);
    const all = await differences();
    expect(all).toContainEqual(
      expect.objectContaining({ value: expect.objectContaining({ ...named, fault }) as object }),
    );
  }
  await policy.tamper(sql`delete from gateway_sessions where id = ${sessionId}`);
  const values = (await differences()).map(({ value }) => value);
  expect(values).toContainEqual(expect.objectContaining({ ...named, fault: "no_session" }));
  await policy.tamper(sql`delete from slices where session_id = ${sessionId}`);
});

it("is reconciled once it is settled: amounts held back count as reserved", async () => {
  const { namespaceId, amounts } = await lostSession();
  await run();
  await run();
  expect(await amounts()).toMatchObject({ reservedNano: 300n });
  const { differences } = await policy.as(policy.operator(["usage:read"])).budgetAdmin.reconcileBudgets({});
  expect(differences.filter((each) => each.namespaceId === namespaceId)).toEqual([]);
});

describe("a lost session", () => {
  it("is charged and reserved as the log says, once the log is complete; amounts that may be in doubt stay reserved", async () => {
    const { log, amounts, stateOf } = await lostSession();
    policy.usage.holdPosition();
    log(newId("req"), RequestStatus.SUCCEEDED, 70n);
    log(newId("req"), RequestStatus.PENDING);
    log(newId("req"), RequestStatus.UNKNOWN, 100n);
    await run();
    await run();
    expect(await stateOf()).toBe("ended");
    expect(await amounts()).toEqual({ spentNano: 0n, reservedNano: 1_000n });
    policy.usage.releasePosition();
    await run();
    expect(await stateOf()).toBe("settled");
    // The running one with its bound of 100, and 300 in doubt.
    expect(await amounts()).toEqual({ spentNano: 170n, reservedNano: 400n });
  });

  it("waits while the usage service does not answer, and frees nothing", async () => {
    const { log, amounts, stateOf } = await lostSession();
    log(newId("req"), RequestStatus.SUCCEEDED, 70n);
    policy.usage.usageDown.value = true;
    await expect(run()).rejects.toMatchObject({ code: "unavailable" });
    expect([await stateOf(), await amounts()]).toEqual(["ended", { spentNano: 0n, reservedNano: 1_000n }]);
    policy.usage.usageDown.value = false;
    await run();
    await run();
    expect([await stateOf(), await amounts()]).toEqual(["settled", { spentNano: 70n, reservedNano: 300n }]);
  });

  it("starts again with a log whose positions were reset, because it was restored from a backup", async () => {
    const { stateOf } = await lostSession();
    await run();
    policy.usage.restartPositions();
    await run();
    expect(await stateOf()).toBe("ended");
    await run();
    expect(await stateOf()).toBe("settled");
  });

  it("charges late requests against the amount held back, and corrects expired ones", async () => {
    const { log, amounts, sweep, expire } = await lostSession();
    const [running, late] = [newId("req"), newId("req")];
    log(running, RequestStatus.PENDING);
    await run();
    await run();
    expect(await amounts()).toEqual({ spentNano: 0n, reservedNano: 400n });
    await expire();
    expect(await amounts()).toEqual({ spentNano: 100n, reservedNano: 300n });
    log(running, RequestStatus.SUCCEEDED, 30n);
    // More than its bound; only the bound was held back.
    log(late, RequestStatus.SUCCEEDED, 120n);
    await sweep();
    expect(await amounts()).toEqual({ spentNano: 150n, reservedNano: 200n });
    await sweep();
    expect(await amounts()).toEqual({ spentNano: 150n, reservedNano: 200n });
  });

  it("is closed by the last sweep: the amount held back is freed, and the audit log records it", async () => {
    const { amounts, sweep, stateOf, binding, key, sessionId } = await lostSession();
    await run();
    await run();
    for (let nth = 0; nth < 4; nth++) {
      expect(await stateOf()).toBe("settled");
      await sweep();
    }
    expect(await stateOf()).toBe("closed");
    expect(await amounts()).toEqual({ spentNano: 0n, reservedNano: 0n });
    const { rows } = await policy.admin.within({}, (tx) =>
      sql`select target_id, actor_type, after from audit_entries
        where namespace_id = ${key.namespaceId} and action = 'slice.unaccounted'`.execute(tx),
    );
    const after = { session_id: sessionId, held_back_nano_usd: 300 };
    expect(rows).toEqual([{ target_id: binding.id, actor_type: "service", after }]);
  });

  it("ends at once when its owner closes it as complete, and the log charges nothing more", async () => {
    const { log, amounts, stateOf, close } = await lostSession();
    await run();
    await run();
    expect(await amounts()).toEqual({ spentNano: 0n, reservedNano: 300n });
    await close();
    log(newId("req"), RequestStatus.SUCCEEDED, 70n);
    await policy.endings.sweepNow();
    expect([await stateOf(), await amounts()]).toEqual(["closed", { spentNano: 0n, reservedNano: 0n }]);
  });

  it("counts each request once, whether it is reported before, between or after", async () => {
    const session = await lostSession();
    const { log, amounts, report, keyId, key } = session;
    const [before, between, after] = [newId("req"), newId("req"), newId("req")];
    const reported = (requestId: string) => session.settled(key.namespaceId, 100n, 60n, { keyId, requestId });
    await report(reported(before));
    for (const requestId of [before, between, after]) log(requestId, RequestStatus.SUCCEEDED, 60n);
    await run();
    await report(reported(between));
    await run();
    await report(reported(after), reported(before));
    expect(await amounts()).toEqual({ spentNano: 180n, reservedNano: 300n });
  });

  it("is settled once by several processes at the same time", async () => {
    const { log, amounts } = await lostSession();
    for (let nth = 0; nth < 30; nth++) log(newId("req"), RequestStatus.SUCCEEDED, 10n);
    log(newId("req"), RequestStatus.PENDING);
    await run();
    await Promise.all([run(), policy.anotherEndings().run(), policy.anotherEndings().run()]);
    expect(await amounts()).toEqual({ spentNano: 300n, reservedNano: 400n });
  });
});
