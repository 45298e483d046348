import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { daoTranslator, openRegistry } from "hexkit";
import { generatedSection } from "../../house/generated-file.ts";

const schema = {
  type: "object",
  required: ["id", "total"],
  properties: { id: { type: "string", format: "uuid" }, total: { type: "number" } },
} as const;
const stockSchema = {
  type: "object",
  required: ["id", "pieces"],
  properties: { id: { type: "string" }, pieces: { type: "integer" } },
} as const;

// What stands between the marks is what the page shows.
describe("docs/outbox.md", () => {
  it("publishes what is written, inside a transaction after its commit", async () => {
    await using registry = await openRegistry({
      config: {
        service: { name: "shop" },
        protocols: { dao: "memory", eventPublisher: "memory", eventSubscriber: "memory" },
        log: { level: "silent" },
      },
      env: {},
    });
    const [first, second] = [randomUUID(), randomUUID()];
    const stock = await registry.get("dao").open({ name: "stock", schema: stockSchema, idField: "id" });
    await stock.insert({ id: "apple", pieces: 9 });
    const seen = new Map<string, number>();
    const complete = new Promise<void>((resolve) => {
      const changed = (id: string, { total }: { readonly total: number }): void => {
        seen.set(id, total);
        if (seen.size === 2) resolve();
      };
      registry.get("eventSubscriber").subscribe(daoTranslator({ topic: "orders", schema, changed, deleted: () => {} }));
    });
    let order = { id: first, total: 12.5 };
    const item = { id: "apple", pieces: 8 };
    // #region outbox
    const orders = await registry.get("outbox").open({
      name: "orders",
      schema,
      idField: "id",
      topic: "orders",
      toEvent: (order) => ({ id: order.id, total: order.total }), // the full state; null: no event for this state
    });
    await orders.upsert(order); // stored, and published
    // #endregion
    order = { id: second, total: 3 };
    // #region transaction
    await registry.get("dao").transaction(async (tx) => {
      // published after the commit, all or nothing
      await orders.in(tx).insert(order);
      await stock.in(tx).update(item);
    });
    // #endregion
    await complete;
    assert.deepEqual(Object.fromEntries(seen), { [first]: 12.5, [second]: 3 });
    assert.deepEqual(await stock.getById("apple"), item);
  });

  const source = readFileSync(new URL(import.meta.url), "utf8");
  for (const [, indent = "", section = "", text = ""] of source.matchAll(/^( *)\/\/ #region (\w+)\n(.*?)^ *\/\/ #endregion$/gms)) {
    it(`shows ${section}`, () => {
      const lines = text.trimEnd().split("\n");
      generatedSection("docs/outbox.md", section, `\`\`\`ts\n${lines.map((line) => line.slice(indent.length)).join("\n")}\n\`\`\``);
    });
  }
});
