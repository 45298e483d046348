import type { BillSender } from "../ports/bill-sender.ts";
import type { OrderWatcher, Position } from "../ports/order-watcher.ts";

const shippingCents = 495;
const freeFromCents = 5_000;

/** What an order costs. Large ones are shipped free. */
export class Billing implements OrderWatcher {
  readonly #bills: BillSender;

  constructor(bills: BillSender) {
    this.#bills = bills;
  }

  async orderPlaced(orderId: string, positions: readonly Position[]): Promise<void> {
    const goods = positions.reduce((sum, { quantity, priceCents }) => sum + quantity * priceCents, 0);
    await this.#bills.sendBill(orderId, goods >= freeFromCents ? goods : goods + shippingCents);
  }
}
