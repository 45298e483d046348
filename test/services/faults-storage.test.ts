import { testScenarios } from "../faults/scenarios.ts";
import { abortedTransfers, boundedMemory, refusedCredentials, storageKilled } from "../faults/storage.ts";

testScenarios("short", [boundedMemory, storageKilled, abortedTransfers, refusedCredentials]);
