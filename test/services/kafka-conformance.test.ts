import { plugin } from "../../plugins/kafka/index.ts";
import { testEventPublisher, testEventSubscriber } from "../../testkit/conformance/index.ts";
import { openEventBroker } from "./kafka.ts";

const maxMessageBytes = 100_000;

testEventPublisher({ name: "kafka", plugin, expects: { maxMessageBytes }, open: () => openEventBroker({ maxMessageBytes }) });
testEventSubscriber({ name: "kafka", plugin, open: () => openEventBroker() });
