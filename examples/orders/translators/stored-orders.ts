import type { Outbox, Registry } from "hexkit";
import type { Order, OrderStore } from "../ports/order-store.ts";
import { orderSchema, ordersTopic } from "./order-schema.ts";

/** Outbound: the port `OrderStore` → an outbox. Each change is published to the topic `orders`, whatever happens to this process. */
export class StoredOrders implements OrderStore {
  readonly #outbox: Outbox<Order>;

  private constructor(outbox: Outbox<Order>) {
    this.#outbox = outbox;
  }

  static async open(registry: Registry): Promise<StoredOrders> {
    const outbox = await registry.get("outbox").open({
      name: "orders",
      schema: orderSchema,
      idField: "id",
      topic: ordersTopic,
      toEvent: (order) => ({ ...order }),
    });
    return new StoredOrders(outbox);
  }

  add(order: Order): Promise<void> {
    return this.#outbox.insert(order);
  }

  get(id: string): Promise<Order> {
    return this.#outbox.getById(id);
  }

  change(order: Order): Promise<void> {
    return this.#outbox.update(order);
  }

  remove(id: string): Promise<void> {
    return this.#outbox.delete(id);
  }
}
