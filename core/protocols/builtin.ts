import { daoProtocol } from "./dao/protocol.ts";
import { eventPublisherProtocol } from "./event-publisher/protocol.ts";
import { eventSubscriberProtocol } from "./event-subscriber/protocol.ts";
import type { ProtocolDefinition } from "./index.ts";
import { migrationsProtocol } from "./migrations/protocol.ts";
import { objectStorageProtocol } from "./object-storage/protocol.ts";
import { outboxProtocol } from "./outbox/protocol.ts";
import { persistentPublisherProtocol } from "./persistent-publisher/protocol.ts";

/** The protocols of this package. */
export const builtinProtocols: readonly ProtocolDefinition[] = [
  daoProtocol,
  eventPublisherProtocol,
  eventSubscriberProtocol,
  migrationsProtocol,
  objectStorageProtocol,
  outboxProtocol,
  persistentPublisherProtocol,
];
