// #region brokers

import { testEventPublisher, testEventSubscriber } from "hexkit/testkit/conformance";
import plugin from "../../examples/nats-jetstream/index.ts";
import { openEventBroker } from "./nats.ts";

testEventPublisher({ name: "nats", plugin, expects: { maxMessageBytes: 1_048_576 }, open: openEventBroker });
testEventSubscriber({ name: "nats", plugin, open: openEventBroker });
// #endregion
