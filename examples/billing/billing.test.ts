import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestRegistry } from "hexkit/testkit";
import { Billing } from "./core/billing.ts";
import { startBilling } from "./service.ts";

test("small orders pay for shipping, large ones do not", async () => {
  const bills: [string, number][] = [];
  const billing = new Billing({ sendBill: async (...bill) => void bills.push(bill) });
  await billing.orderPlaced("o-1", [{ quantity: 2, priceCents: 500 }]);
  await billing.orderPlaced("o-2", [{ quantity: 1, priceCents: 5_000 }]);
  assert.deepEqual(bills, [
    ["o-1", 1_495],
    ["o-2", 5_000],
  ]);
});

test("an order that is placed becomes a bill", async () => {
  await using registry = await openTestRegistry("hexkit.config.json");
  startBilling(registry);
  const billed = new Promise((resolve) => {
    registry
      .get("eventSubscriber")
      .subscribe({ topics: ["bills"], types: ["bill_due"], consume: ({ key, payload }) => resolve({ key, payload }) }, { group: "test" });
  });
  await registry.get("eventPublisher").publish({
    topic: "orders",
    type: "order_placed",
    key: "o-17",
    payload: { positions: [{ quantity: 2, priceCents: 600 }] },
  });
  assert.deepEqual(await billed, { key: "o-17", payload: { amountCents: 1_695 } });
});
