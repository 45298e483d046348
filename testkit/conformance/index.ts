export type { EventBroker, RawRecord } from "./event-broker.ts";
export { type EventPublisherSubject, testEventPublisher } from "./event-publisher.ts";
export { type EventSubscriberSubject, testEventSubscriber } from "./event-subscriber.ts";
