import type { EventPublisher } from "hexkit";
import type { BillSender } from "../ports/bill-sender.ts";

/** Outbound: the port `BillSender` → events of the topic `bills`. */
export class BillEvents implements BillSender {
  readonly #publisher: EventPublisher;

  constructor(publisher: EventPublisher) {
    this.#publisher = publisher;
  }

  sendBill(orderId: string, amountCents: number): Promise<void> {
    return this.#publisher.publish({ topic: "bills", type: "bill_due", key: orderId, payload: { amountCents } });
  }
}
