import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it, test } from "node:test";
import { newCorrelationId, withCorrelationId } from "hexkit";
import { plugin as memory } from "hexkit/plugins/memory";
import { chaos, clearTopics, expectEvents, memoryFaults, openTestRegistry, publishEvents, recordEvents, settled } from "hexkit/testkit";
import { startBilling } from "../../examples/billing/service.ts";
import { generatedSection } from "../house/generated-file.ts";
import { root } from "../house/packed-package.ts";

const page = "docs/test-a-service.md";
const config = join(root, "examples/billing/hexkit.config.json");
const positions = [{ quantity: 2, priceCents: 600 }];
const order = { type: "order_placed", key: "o-17", payload: { positions } };
const bill = { type: "bill_due", key: "o-17", payload: { amountCents: 1_695 } };

// #region events
test("a bill carries the correlation id of its order", async () => {
  await using registry = await openTestRegistry(config);
  startBilling(registry);
  const bills = await recordEvents(registry, "bills", { captureHeaders: true });
  const id = newCorrelationId();
  await withCorrelationId(id, () => publishEvents(registry, "orders", [order, { ...order, key: "o-18" }]));
  await settled(registry);
  const headers = { correlation_id: id };
  expectEvents(await bills.stop(), [
    { ...bill, headers },
    { ...bill, headers, key: "o-18" },
  ]);
});
// #endregion

// #region letters
test("an order without positions is put aside", async () => {
  await using registry = await openTestRegistry(config);
  startBilling(registry);
  const bad = { ...order, payload: { positions: [] } };
  const letter = { ...bad, headers: { original_topic: "orders", attempts: "1" } }; // what does not fit is not tried again
  await expectEvents(
    registry,
    ["bills", "billing-dlq"],
    [letter],
    () => publishEvents(registry, "orders", bad).then(() => settled(registry)),
    {
      captureHeaders: true,
    },
  );
});
// #endregion

// #region chaos
test("a bill is sent although the broker refuses twice", async () => {
  const { plugin, plan } = chaos(memory);
  await using registry = await openTestRegistry(config, { plugins: [plugin] });
  startBilling(registry);
  const refused = plan.fail("eventPublisher.send", { next: 2, when: (_lane, records) => records[0]?.topic === "bills" });
  await expectEvents(registry, "bills", [bill], async () => {
    await publishEvents(registry, "orders", order);
    await settled(registry);
  });
  assert.equal(refused.hits, 2);
});
// #endregion

// #region outage
test("an order that is placed before the broker goes away is billed when it is back", async () => {
  await using registry = await openTestRegistry(config, { space: "outage" });
  await publishEvents(registry, "orders", order);
  const broker = memoryFaults("outage");
  broker.outage();
  startBilling(registry);
  assert.equal((await registry.health()).ok, false);
  broker.restore();
  await settled(registry);
});
// #endregion

// #region real
before(async () => {
  await using registry = await openTestRegistry(config, { env: process.env });
  await clearTopics(registry, ["orders", "bills", "billing-dlq"]);
});
// #endregion

describe(page, () => {
  const source = readFileSync(join(root, "test/examples/test-a-service.test.ts"), "utf8");
  for (const [, section = "", text = ""] of source.matchAll(/^\/\/ #region (\w+)\n(.*?)^\/\/ #endregion$/gms)) {
    it(`shows ${section}`, () => generatedSection(page, section, `\`\`\`ts\n${text.trim()}\n\`\`\``));
  }

  it("shows what a test says that fails", async () => {
    await using registry = await openTestRegistry(config);
    startBilling(registry);
    const wanted = [bill, { ...bill, key: "o-18", payload: { amountCents: 1_690 } }];
    const failing = expectEvents(registry, "bills", wanted, async () => {
      await publishEvents(registry, "orders", [order, { ...order, key: "o-18" }]);
      await settled(registry);
    });
    const message = await failing.then(
      () => assert.fail("it must not agree"),
      (error: Error) => error.message,
    );
    generatedSection(page, "difference", `\`\`\`text\n${message}\n\`\`\``);
  });
});
