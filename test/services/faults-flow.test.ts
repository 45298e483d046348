import { concurrency, retries } from "../faults/flow.ts";
import { testScenarios } from "../faults/scenarios.ts";

testScenarios("short", [retries, concurrency]);
