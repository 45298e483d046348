import { plugin } from "../../../plugins/memory/index.ts";
import { testTopicAccess } from "../../../testkit/conformance/index.ts";
import { openBroker } from "./broker-subject.ts";

testTopicAccess({ name: "memory", plugin, open: openBroker });
