import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { isHexkitError, openRegistry } from "hexkit";
import { OrderBoard } from "./core/order-board.ts";
import { OrderDesk } from "./core/order-desk.ts";
import { StoredOrders } from "./translators/stored-orders.ts";
import { watchedOrders } from "./translators/watched-orders.ts";

/** The file that HEXKIT_CONFIG names, else the one beside this module. */
const config = process.env.HEXKIT_CONFIG || fileURLToPath(new URL("./hexkit.config.json", import.meta.url));
const waitMs = 30_000;

/** Two services, which know of each other nothing but a topic. Here they run in one process. */
async function run(): Promise<void> {
  await using desk = await openRegistry({ config });
  await using display = await openRegistry({ config });

  // The first service: takes orders.
  const orders = new OrderDesk(await StoredOrders.open(desk));
  // The second: shows them. A board that is kept in memory begins with the first order of all, hence a group of its own.
  const board = new OrderBoard();
  const subscription = display.get("eventSubscriber").subscribe(watchedOrders(board), { group: `order-board-${randomUUID()}` });

  const [ann, bob, eve] = [randomUUID(), randomUUID(), randomUUID()] as const;
  await orders.place({ id: ann, customer: "ann", item: "apple", quantity: 2 });
  await orders.place({ id: bob, customer: "bob", item: "pear", quantity: 1 });
  await orders.place({ id: eve, customer: "eve", item: "plum", quantity: 9 });
  await orders.changeQuantity(bob, 5);
  await orders.cancel(eve);
  const last = randomUUID();
  await orders.place({ id: last, customer: "zoe", item: "fig", quantity: 3 });

  // On a broker that outlives this program the topic also holds orders of earlier runs.
  const ours = new Set<string>([ann, bob, eve, last]);
  const shown = () => board.orders.filter(({ id }) => ours.has(id));
  const isComplete = (): boolean =>
    shown().length === 3 && shown().every(({ id, quantity }) => id !== eve && quantity === { [ann]: 2, [bob]: 5, [last]: 3 }[id]);
  for (const deadline = Date.now() + waitMs; !isComplete(); await new Promise((resolve) => setTimeout(resolve, 20))) {
    if (Date.now() > deadline) throw new Error(`the board is not complete after ${waitMs / 1000} s`);
    if (subscription.state === "failed") await subscription.done;
  }
  for (const { customer, quantity, item } of shown()) console.log(`${customer}  ${quantity} × ${item}`);
}

try {
  await run();
} catch (error) {
  console.error(isHexkitError(error) ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
}
