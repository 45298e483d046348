import type { Order } from "./order-store.ts";

/** Inbound: what has become of orders that are kept elsewhere. May be told the same twice. */
export interface OrderWatcher {
  changed(order: Order): void;
  gone(id: string): void;
}
