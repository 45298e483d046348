import { eventPublisherProtocol } from "./event-publisher/protocol.ts";
import { eventSubscriberProtocol } from "./event-subscriber/protocol.ts";
import type { ProtocolDefinition } from "./index.ts";

/** The protocols of this package. */
export const builtinProtocols: readonly ProtocolDefinition[] = [eventPublisherProtocol, eventSubscriberProtocol];
