import { definePlugin } from "../../core/index.ts";
import { openClient } from "./client.ts";
import { MemoryPublisherDriver } from "./event-publisher.ts";
import { MemorySubscriberDriver } from "./event-subscriber.ts";
import { memoryOptions } from "./options.ts";

export { clearMemorySpace } from "./spaces.ts";

export const plugin = definePlugin({
  name: "memory",
  apiVersion: 1,
  summary: "Inside the process: for tests, demos and development",
  options: memoryOptions,
  open: openClient,
  close: (client) => client.close(),
  provides: {
    eventPublisher: (client) => new MemoryPublisherDriver(client),
    eventSubscriber: (client) => new MemorySubscriberDriver(client),
  },
});
