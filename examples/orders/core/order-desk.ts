import type { Order, OrderStore } from "../ports/order-store.ts";

/** Takes orders, changes and cancels them. */
export class OrderDesk {
  readonly #orders: OrderStore;

  constructor(orders: OrderStore) {
    this.#orders = orders;
  }

  place(order: Order): Promise<void> {
    return this.#orders.add(order);
  }

  async changeQuantity(id: string, quantity: number): Promise<void> {
    await this.#orders.change({ ...(await this.#orders.get(id)), quantity });
  }

  cancel(id: string): Promise<void> {
    return this.#orders.remove(id);
  }
}
