import type { Order } from "../ports/order-store.ts";
import type { OrderWatcher } from "../ports/order-watcher.ts";

/** Shows what is ordered at present: a read model, which another service keeps for itself. */
export class OrderBoard implements OrderWatcher {
  readonly #orders = new Map<string, Order>();

  changed(order: Order): void {
    this.#orders.set(order.id, order);
  }

  gone(id: string): void {
    this.#orders.delete(id);
  }

  get orders(): readonly Order[] {
    return [...this.#orders.values()].sort((a, b) => (a.customer < b.customer ? -1 : 1));
  }
}
