import assert from "node:assert/strict";
import { test } from "node:test";
import { expectEvents, openTestRegistry, publishEvents, settled } from "hexkit/testkit";
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

test("an order becomes a bill", async () => {
  await using registry = await openTestRegistry("hexkit.config.json", { env: process.env });
  startBilling(registry);
  const bill = { type: "bill_due", key: "o-17", payload: { amountCents: 1_695 } };
  await expectEvents(registry, "bills", [bill], async () => {
    const payload = { positions: [{ quantity: 2, priceCents: 600 }] };
    await publishEvents(registry, "orders", { type: "order_placed", key: "o-17", payload });
    await settled(registry);
  });
});
