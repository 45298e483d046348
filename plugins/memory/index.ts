import { definePlugin } from "../../core/index.ts";
import { openClient } from "./client.ts";
import { MemoryDaoDriver } from "./dao.ts";
import { classifyMemoryError } from "./errors.ts";
import { MemoryPublisherDriver } from "./event-publisher.ts";
import { MemorySubscriberDriver } from "./event-subscriber.ts";
import { MemoryMigrationsDriver } from "./migrations.ts";
import { MemoryStorageDriver } from "./object-storage.ts";
import { memoryOptions } from "./options.ts";

export { type MemoryFaults, memoryFaults } from "./faults.ts";
export { clearMemorySpace } from "./spaces.ts";

export const plugin = definePlugin({
  name: "memory",
  apiVersion: 1,
  summary: "Inside the process: for tests, demos and development",
  options: memoryOptions,
  open: openClient,
  close: (client) => client.close(),
  check: (client) => client.broker.demandPresence(),
  classify: classifyMemoryError,
  provides: {
    dao: (client) => new MemoryDaoDriver(client),
    eventPublisher: (client) => new MemoryPublisherDriver(client),
    eventSubscriber: (client) => new MemorySubscriberDriver(client),
    migrations: (client) => new MemoryMigrationsDriver(client),
    objectStorage: (client) => new MemoryStorageDriver(client),
  },
});
