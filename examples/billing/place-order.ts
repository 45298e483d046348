import { randomUUID } from "node:crypto";
import { openRegistry } from "hexkit";

await using registry = await openRegistry();
const key = randomUUID();
const bill = new Promise((resolve, reject) => {
  const consume = (event: { key: string; payload: unknown }): void => {
    if (event.key === key) resolve(event.payload);
  };
  const options = { group: `place-order-${key}`, deadLetter: false };
  registry
    .get("eventSubscriber")
    .subscribe({ topics: ["bills"], types: ["bill_due"], consume }, options)
    .done.catch(reject);
});
const payload = { positions: [{ quantity: 2, priceCents: 600 }] };
await registry.get("eventPublisher").publish({ topic: "orders", type: "order_placed", key, payload });
console.log("bill:", await bill);
