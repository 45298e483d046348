import { exhausted, redrive } from "../faults/failures.ts";
import { concurrency, retries } from "../faults/flow.ts";
import { NatsStage } from "../faults/nats-stage.ts";
import { testScenarios } from "../faults/scenarios.ts";

// Without R11: it counts on rebalances that take every partition from everyone. Here those that stay keep their pauses before a retry.
testScenarios("short", [retries, concurrency, exhausted, redrive], () => new NatsStage());
