import { plugin } from "../../../plugins/memory/index.ts";
import { testEventPublisher, testEventSubscriber } from "../../../testkit/conformance/index.ts";
import { openBroker } from "./broker-subject.ts";

testEventPublisher({ name: "memory", plugin, expects: { maxMessageBytes: 100_000 }, open: openBroker });
testEventSubscriber({ name: "memory", plugin, open: openBroker });
