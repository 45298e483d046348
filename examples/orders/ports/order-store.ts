/** What a customer wants. */
export interface Order {
  readonly id: string;
  readonly customer: string;
  readonly item: string;
  readonly quantity: number;
}

/** Outbound: where orders are kept. Whatever is changed there is told to everybody who wants to know. */
export interface OrderStore {
  add(order: Order): Promise<void>;
  get(id: string): Promise<Order>;
  change(order: Order): Promise<void>;
  remove(id: string): Promise<void>;
}
