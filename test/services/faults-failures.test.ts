import { cancelledRetry, exhausted, onePartitionFails, poison, redrive } from "../faults/failures.ts";
import { testScenarios } from "../faults/scenarios.ts";

testScenarios("short", [poison, onePartitionFails, cancelledRetry, exhausted, redrive]);
