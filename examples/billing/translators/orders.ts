import { eventTranslator, type Translator } from "hexkit";
import type { OrderWatcher } from "../ports/order-watcher.ts";

const orderPlaced = {
  type: "object",
  required: ["positions"],
  properties: {
    positions: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        required: ["quantity", "priceCents"],
        properties: { quantity: { type: "integer", minimum: 1 }, priceCents: { type: "integer", minimum: 0 } },
      },
    },
  },
} as const;

/** Inbound: events of the topic `orders` → the port `OrderWatcher`. */
export function orderTranslator(watcher: OrderWatcher): Translator {
  return eventTranslator({
    topic: "orders",
    events: {
      order_placed: {
        schema: orderPlaced,
        consume: ({ key, payload }) => watcher.orderPlaced(key, payload.positions),
      },
    },
  });
}
