import type { EventPublisher } from "@routeplane/events";

/** Fake `EventPublisher` that accepts every record and keeps none. */
export const fakeEventPublisher: EventPublisher = {
  name: "nobody",
  pendingFromPreviousRun: [],
  previousRunAcknowledged: Promise.resolve(),
  ownership: Promise.resolve({ owner: { bootId: "", socket: "" }, isDead: () => false, close() {} }),
  isOwner: () => true,
  isDamaged: false,
  enqueue: () => 1,
  complete() {},
  record: () => ({ pendingSettlementOffset: 0, committed: async () => {} }),
  recordOrSend: () => 0,
  spoolBytes: () => 0,
  requireAcceptsNew() {},
  hasSpace: () => true,
  acceptsNew: () => true,
  isReachable: async () => true,
  stop: async () => {},
};
