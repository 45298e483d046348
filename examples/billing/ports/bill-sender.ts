/** Outbound: somebody sends bills to customers. */
export interface BillSender {
  sendBill(orderId: string, amountCents: number): Promise<void>;
}
