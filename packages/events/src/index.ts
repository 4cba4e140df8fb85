export { type NatsAddress, parseNatsUrl } from "./address.ts";
export { type EventConsumer, type EventConsumerOptions, openConsumer } from "./consumer.ts";
export type { ConsumerLag } from "./lag.ts";
export { type EventPublisher, type EventPublisherOptions, openPublisher } from "./publisher.ts";
