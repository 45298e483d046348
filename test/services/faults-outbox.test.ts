import { outboxFlow, outboxInterleavings, outboxPaused } from "../faults/outbox.ts";
import { testScenarios } from "../faults/scenarios.ts";

testScenarios("short", [outboxFlow, outboxInterleavings, outboxPaused]);
