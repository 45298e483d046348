import { exhausted, redrive } from "../faults/failures.ts";
import { concurrency, retries } from "../faults/flow.ts";
import { membership, orderlyStop, slowHandler } from "../faults/members.ts";
import { NatsStage } from "../faults/nats-stage.ts";
import { brokerKilled, longOutage } from "../faults/outages.ts";
import { openAndClose } from "../faults/resources.ts";
import { testScenarios } from "../faults/scenarios.ts";

// Without R11: it counts on rebalances that take every partition from everyone. Here those that stay keep their pauses before a retry.
const all = [retries, concurrency, brokerKilled, longOutage, membership, orderlyStop, slowHandler, exhausted, redrive, openAndClose];

testScenarios("short", all, () => new NatsStage());
