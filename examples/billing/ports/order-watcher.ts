/** Inbound: the billing department hears of orders. */
export interface OrderWatcher {
  orderPlaced(orderId: string, positions: readonly Position[]): Promise<void>;
}

export interface Position {
  readonly quantity: number;
  readonly priceCents: number;
}
