import type { CallOptions, EventPublisher, OutgoingEvent, Registry } from "../../core/index.ts";
import { reach } from "../reach.ts";

/** What a test publishes. */
export interface EventToPublish extends Omit<OutgoingEvent, "topic" | "key"> {
  /** Default: `test`. */
  readonly key?: string;
}

export interface PublishOptions extends CallOptions {
  /** Whose broker it goes to. Default: that of `eventPublisher`, else of `eventSubscriber`. */
  readonly binding?: string;
}

/**
 * Publishes events to a topic, in order, as another service would: also where the service under test only consumes.
 * @throws what `EventPublisher.publishAll` throws, ERR_HEXKIT_UNBOUND, ERR_HEXKIT_UNSUPPORTED.
 */
export async function publishEvents(
  registry: Registry,
  topic: string,
  events: EventToPublish | readonly EventToPublish[],
  { binding, ...options }: PublishOptions = {},
): Promise<void> {
  const brokers = ["eventPublisher", "eventSubscriber"];
  const { api } = await reach<unknown, EventPublisher>(registry, "publishEvents", "eventPublisher", binding, brokers);
  const list = Array.isArray(events) ? (events as readonly EventToPublish[]) : [events as EventToPublish];
  await api.publishAll(
    list.map((event) => ({ key: "test", ...event, topic })),
    options,
  );
}
