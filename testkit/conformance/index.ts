export { testDao } from "./dao.ts";
export type { DaoDatabase, DaoSubject } from "./dao-bench.ts";
export type { EventBroker, RawRecord } from "./event-broker.ts";
export { type EventPublisherSubject, testEventPublisher } from "./event-publisher.ts";
export { type EventSubscriberSubject, testEventSubscriber } from "./event-subscriber.ts";
export { testObjectStorage } from "./object-storage.ts";
export type { ObjectStorageSubject, StorageQuirks, StorageServer } from "./storage-bench.ts";
