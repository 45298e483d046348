import { cancelledRetry, exhausted, onePartitionFails, poison, redrive } from "./failures.ts";
import { concurrency, retries } from "./flow.ts";
import { membership, orderlyStop, slowHandler } from "./members.ts";
import { brokerKilled, longOutage } from "./outages.ts";
import { outboxCrashes, outboxFlow, outboxInterleavings, outboxPaused } from "./outbox.ts";
import { openAndClose } from "./resources.ts";
import { testScenarios } from "./scenarios.ts";
import { abortedTransfers, boundedMemory, refusedCredentials, storageKilled } from "./storage.ts";

testScenarios("full", [
  retries,
  concurrency,
  brokerKilled,
  longOutage,
  membership,
  orderlyStop,
  slowHandler,
  poison,
  onePartitionFails,
  cancelledRetry,
  exhausted,
  redrive,
  openAndClose,
  boundedMemory,
  storageKilled,
  abortedTransfers,
  refusedCredentials,
  outboxFlow,
  outboxInterleavings,
  outboxPaused,
  outboxCrashes,
]);
