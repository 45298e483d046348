import { outboxCrashes } from "../faults/outbox.ts";
import { testScenarios } from "../faults/scenarios.ts";

testScenarios("short", [outboxCrashes]);
