import assert from "node:assert/strict";
import { test } from "node:test";
import { expectEvents, openTestRegistry, publishEvents, settled } from "hexkit/testkit";
import { Reception } from "../core/reception.ts";
import { startService } from "../service.ts";

test("a visitor is welcomed by name", async () => {
  const greetings: string[] = [];
  const reception = new Reception({ greet: async (_, text) => void greetings.push(text) });
  await reception.visitorArrived("v-1", "Ada");
  assert.deepEqual(greetings, ["Welcome, Ada!"]);
});

test("the arrival of a visitor becomes a greeting", async () => {
  await using registry = await openTestRegistry("hexkit.config.json");
  startService(registry);
  const greeting = { type: "greeting_due", key: "v-2", payload: { text: "Welcome, Grace!" } };
  await expectEvents(registry, "greetings", [greeting], async () => {
    await publishEvents(registry, "visits", { type: "visitor_arrived", key: "v-2", payload: { name: "Grace" } });
    await settled(registry);
  });
});
