import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, test } from "node:test";
import type { DeadLetter } from "hexkit";
import { chaos, memoryFaults, openTestRegistry } from "hexkit/testkit";
import { startBilling } from "../../examples/billing/service.ts";
import { plugin as memory } from "../../plugins/memory/index.ts";
import { generatedSection } from "../house/generated-file.ts";
import { root } from "../house/packed-package.ts";

const page = "docs/test-a-service.md";
const config = join(root, "examples/billing/hexkit.config.json");
const logger = { debug() {}, info() {}, warn() {}, error() {} };
const order = { topic: "orders", type: "order_placed", key: "o-17", payload: { positions: [{ quantity: 2, priceCents: 600 }] } };

// #region letters
test("an order without positions is put aside", async () => {
  await using registry = await openTestRegistry(config, { logger });
  startBilling(registry);
  const letter = new Promise<DeadLetter>((resolve) => registry.get("eventSubscriber").subscribeDeadLetters(resolve));
  await registry.get("eventPublisher").publish({ ...order, payload: { positions: [] } });
  const { error, originalTopic, attempts } = await letter;
  assert.deepEqual([originalTopic, attempts], ["orders", 1]); // what does not fit its schema is not tried again
  assert.match(error.message, /payload\.positions.* does not fit|does not fit.*positions/);
});
// #endregion

// #region chaos
test("a bill is sent although the broker refuses twice", async () => {
  const { plugin, plan } = chaos(memory);
  await using registry = await openTestRegistry(config, { plugins: [plugin], logger });
  startBilling(registry);
  const refused = plan.fail("eventPublisher.send", { next: 2, when: (_lane, records) => records[0]?.topic === "bills" });
  const billed = new Promise((resolve) => {
    registry.get("eventSubscriber").subscribe({ topics: ["bills"], types: ["bill_due"], consume: resolve }, { group: "test" });
  });
  await registry.get("eventPublisher").publish(order);
  await billed;
  assert.equal(refused.hits, 2);
});
// #endregion

// #region outage
test("the service outlives its broker being away", async () => {
  const space = "outage";
  await using registry = await openTestRegistry(config, { space, logger });
  const billing = startBilling(registry);
  memoryFaults(space).outage();
  assert.equal((await registry.health()).ok, false);
  memoryFaults(space).restore();
  await registry.get("eventPublisher").publish(order);
  assert.notEqual(billing.state, "failed");
});
// #endregion

describe(page, () => {
  const source = readFileSync(join(root, "test/examples/test-a-service.test.ts"), "utf8");
  for (const [, section = "", text = ""] of source.matchAll(/^\/\/ #region (\w+)\n(.*?)^\/\/ #endregion$/gms)) {
    it(`shows ${section}`, () => generatedSection(page, section, `\`\`\`ts\n${text.trim()}\n\`\`\``));
  }
});
