import type { EventSink, EventSource, EventSubscriberDriver, JoinRequest } from "../../core/index.ts";
import type { MemoryClient } from "./client.ts";
import { MemoryTopicAccess } from "./topic-access.ts";

export class MemorySubscriberDriver implements EventSubscriberDriver {
  readonly topics: MemoryTopicAccess;
  readonly #client: MemoryClient;

  constructor(client: MemoryClient) {
    this.topics = new MemoryTopicAccess(client.broker);
    this.#client = client;
  }

  async join(request: JoinRequest, sink: EventSink): Promise<EventSource> {
    return this.#client.broker.join(request, this.#client.options.partitions, sink);
  }
}
