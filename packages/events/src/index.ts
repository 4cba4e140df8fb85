export { type NatsAddress, parseNatsUrl, readNatsAddress } from "./address.ts";
export { type EventConsumer, type EventConsumerOptions, openConsumer } from "./consumer.ts";
export type { ConsumerLag } from "./jetstream-consumer.ts";
export type { EventPlace } from "./postponed-events.ts";
export type { Replica, ReplicaRegistry } from "./partition-ownership.ts";
export { DEFAULT_STREAM_SETTINGS, readStreamSettings, type StreamSettings } from "./settings.ts";
export {
  type EventPublisher,
  type EventPublisherOptions,
  MAX_EVENT_BYTES,
  openPublisher,
  toUsageRecord,
  type UsageRecord,
} from "./publisher.ts";
