import { NatsStage } from "../faults/nats-stage.ts";
import { brokerKilled, longOutage } from "../faults/outages.ts";
import { testScenarios } from "../faults/scenarios.ts";

testScenarios("short", [brokerKilled, longOutage], () => new NatsStage());
