import type { Registry, Subscription } from "hexkit";
import { Billing } from "./core/billing.ts";
import { BillEvents } from "./translators/bills.ts";
import { orderTranslator } from "./translators/orders.ts";

/** Puts core, ports and translators together and begins to consume. */
export function startBilling(registry: Registry): Subscription {
  const billing = new Billing(new BillEvents(registry.get("eventPublisher")));
  return registry.get("eventSubscriber").subscribe(orderTranslator(billing));
}
