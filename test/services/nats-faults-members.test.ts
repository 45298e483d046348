import { membership, orderlyStop, slowHandler } from "../faults/members.ts";
import { NatsStage } from "../faults/nats-stage.ts";
import { openAndClose } from "../faults/resources.ts";
import { testScenarios } from "../faults/scenarios.ts";

testScenarios("short", [membership, orderlyStop, slowHandler, openAndClose], () => new NatsStage());
