import { fromBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventBatchSchema } from "@routeplane/contracts/events";
import { openConsumer, parseNatsUrl } from "@routeplane/events";
import { eventually } from "@routeplane/testing";
import { afterAll, describe, expect, it } from "vitest";
import { DURABLE, inMemoryReplicas, startKit } from "../../../../packages/events/test/kit.ts";
import { createUsageLog } from "../../src/clients/usage-log.ts";
import type { RequestFacts } from "../../src/domain/metering/request-facts.ts";
import type { PendingSettlement, Reservation, UsageLog } from "../../src/domain/ports/usage-log.ts";
import { fakeUsageLog } from "../fake-usage-log.ts";
import { sampleFacts, sampleSettlement } from "../sample-usage.ts";

/** Contract of `UsageLog`, which the log over the spool and NATS and its fake fulfil. */

/** A recorded usage event: its phase and its request, or key if it counts denials. */
type RecordedEvent = readonly [phase: string, id: string];

/** An implementation on a spool of its own. */
interface Subject {
  readonly log: UsageLog;
  /** A log on the same spool, as the next process opens it. */
  readonly reopen: () => Promise<UsageLog>;
  /** Events that were recorded, in order. */
  readonly events: () => readonly RecordedEvent[];
  /** Makes the log refuse new requests. */
  readonly refuseNew: () => Promise<void>;
}

const removals: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const remove of removals) await remove();
});

const implementations: [string, () => Promise<Subject>][] = [
  [
    "the usage log over the spool and NATS",
    async () => {
      const kit = await startKit();
      removals.push(() => kit.remove());
      const received: UsageEvent[] = [];
      const consumer = openConsumer<UsageEvent>({
        ...kit.connection,
        nats: parseNatsUrl(kit.nats.aggregatorUrl) ?? expect.fail("not a URL"),
        ...DURABLE,
        replicas: inMemoryReplicas()(),
        read: (payload) => fromBinary(UsageEventBatchSchema, payload).events,
        onBatch: async (events) => void received.push(...events),
        onUnreadable: async () => {},
      });
      removals.unshift(() => consumer.stop());
      const folder = kit.spool();
      const open = () => kit.publisher({ folder, natsOutage: "refuse", timeoutMs: 300 });
      let publisher = open();
      await eventually(() => publisher.isReachable());
      return {
        log: createUsageLog(publisher),
        async reopen() {
          await publisher.stop();
          publisher = open();
          return createUsageLog(publisher);
        },
        events: () => received.map(toRecordedEvent),
        async refuseNew() {
          await kit.nats.kill();
          await eventually(() => !publisher.acceptsNew());
        },
      };
    },
  ],
  [
    "the fake",
    async () => {
      const log = fakeUsageLog();
      const admitted = () => log.admissions.map(({ facts }) => ["admitted", facts.requestId] as const);
      const settled = () => log.settlements.map(({ facts }) => ["settled", facts.requestId] as const);
      const denied = () => log.unloggedDenials.map(({ keyId }) => ["unloggedDenials", keyId] as const);
      return {
        log,
        reopen: async () => log.reopen(),
        events: () => [...admitted(), ...settled(), ...denied()],
        refuseNew: async () => void (log.refusesNew = true),
      };
    },
  ],
];

function toRecordedEvent({ phase, request }: UsageEvent): RecordedEvent {
  const id = phase.case === "unloggedDenials" ? phase.value.keyId : (request?.requestId ?? "");
  return [phase.case ?? "", id];
}

const RESERVATION: Reservation = {
  reservedNanoUsd: 7_000n,
  expiresAt: new Date(Date.now() + 900_000),
  price: { version: "file:1", inputPicoUsd: 1n, outputPicoUsd: 2n },
  admittedAt: new Date(),
};

const SETTLEMENT = sampleSettlement();

/** Settlement of a request that cost 5 micro-USD and used 7 tokens. */
function pendingOf({ namespaceId, keyId, requestId }: RequestFacts): PendingSettlement {
  return { namespaceId, keyId, requestId, costNanoUsd: 5_000n, tokens: 7, neverSent: false };
}

describe.each(implementations)("%s", (_, start) => {
  it("has nothing pending on a new spool", async () => {
    expect((await start()).log.pendingFromPreviousRun).toEqual([]);
  });

  it("leaves the release of a reservation to the next process, if this one dies before the admission", async () => {
    const { log, reopen } = await start();
    const facts = sampleFacts();
    const offset = log.enqueueRelease(facts);
    const settlement = { ...pendingOf(facts), costNanoUsd: 0n, tokens: 0, neverSent: true };
    expect((await reopen()).pendingFromPreviousRun).toEqual([{ offset, settlement }]);
  });

  it("completes the release with the admission, which is committed and recorded", async () => {
    const { log, reopen, events } = await start();
    const facts = sampleFacts();
    const { committed } = log.recordAdmission(facts, RESERVATION, log.enqueueRelease(facts));
    await committed;
    await eventually(() => events().length > 0);
    expect((await reopen()).pendingFromPreviousRun).toEqual([]);
    expect(events()).toEqual([["admitted", facts.requestId]]);
  });

  it("leaves a settlement to the next process, with its amounts, until it is completed", async () => {
    const { log, reopen, events } = await start();
    const facts = sampleFacts();
    const release = log.enqueueRelease(facts);
    await log.recordAdmission(facts, RESERVATION, release).committed;
    const offset = log.recordSettlement(facts, SETTLEMENT, pendingOf(facts), release);
    await eventually(() => events().length > 1);
    const next = await reopen();
    expect(next.pendingFromPreviousRun).toEqual([{ offset, settlement: pendingOf(facts) }]);
    next.complete(offset);
    next.complete(offset);
    expect((await reopen()).pendingFromPreviousRun).toEqual([]);
    expect(events()).toEqual([
      ["admitted", facts.requestId],
      ["settled", facts.requestId],
    ]);
  });

  it("completes the release with the settlement of a request that was not admitted", async () => {
    const { log, reopen, events } = await start();
    const facts = sampleFacts();
    log.recordSettlement(facts, { ...SETTLEMENT, outcome: "denied" }, undefined, log.enqueueRelease(facts));
    await eventually(() => events().length > 0);
    expect((await reopen()).pendingFromPreviousRun).toEqual([]);
    expect(events()).toEqual([["settled", facts.requestId]]);
  });

  it("keeps the pending settlements of several requests apart, in the order in which they were enqueued", async () => {
    const { log, reopen } = await start();
    const requests = [sampleFacts(), sampleFacts(), sampleFacts()] as const;
    const offsets = requests.map((facts) => log.enqueueRelease(facts));
    expect(new Set(offsets).size).toBe(3);
    log.complete(offsets[1] ?? 0);
    const pending = (await reopen()).pendingFromPreviousRun;
    expect(pending.map(({ settlement }) => settlement.requestId)).toEqual([
      requests[0].requestId,
      requests[2].requestId,
    ]);
  });

  it("has no effect when it completes offset 0", async () => {
    const { log, reopen } = await start();
    const offset = log.enqueueRelease(sampleFacts());
    log.complete(0);
    expect((await reopen()).pendingFromPreviousRun).toMatchObject([{ offset }]);
  });

  it("records counts of denied requests", async () => {
    const { log, events } = await start();
    const { namespaceId, keyId, model, provider } = sampleFacts();
    log.recordUnloggedDenials({ namespaceId, keyId, model, provider, minute: new Date(0), count: 3 });
    await eventually(() => events().length > 0);
    expect(events()).toEqual([["unloggedDenials", keyId]]);
  });

  it("refuses new requests as UNAVAILABLE while it accepts none, and still records the end of running ones", async () => {
    const { log, refuseNew } = await start();
    const facts = sampleFacts();
    const release = log.enqueueRelease(facts);
    await log.recordAdmission(facts, RESERVATION, release).committed;
    await refuseNew();
    expect(() => log.enqueueRelease(sampleFacts())).toThrow(
      expect.objectContaining({ name: "DomainError", code: "unavailable" }) as Error,
    );
    expect(log.recordSettlement(facts, SETTLEMENT, pendingOf(facts), release)).toBeGreaterThan(0);
  });
});
