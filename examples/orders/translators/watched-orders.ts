import { daoTranslator, type Translator } from "hexkit";
import type { OrderWatcher } from "../ports/order-watcher.ts";
import { orderSchema, ordersTopic } from "./order-schema.ts";

/** Inbound: events of the topic `orders` → the port `OrderWatcher`. */
export function watchedOrders(watcher: OrderWatcher): Translator {
  return daoTranslator({
    topic: ordersTopic,
    schema: orderSchema,
    changed: (_id, order) => watcher.changed(order),
    deleted: (id) => watcher.gone(id),
  });
}
