import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { type MigrationPlan, openRegistry, type Registry, Uuid } from "hexkit";
import { clearMemorySpace } from "hexkit/plugins/memory";
import { generatedSection } from "../../house/generated-file.ts";

const schema = {
  type: "object",
  required: ["id", "title"],
  properties: { id: { type: "string", format: "uuid" }, title: { type: "string" }, pages: { type: "integer" } },
} as const;

// #region plan
const plan: MigrationPlan = {
  target: 3,
  steps: [
    {
      version: 2, // ids were text
      apply: async ({ transform }) => {
        await transform("books", (book) => ({ ...book, _id: Uuid.from(String(book._id)) ?? new Uuid(randomUUID()) }));
      },
    },
    {
      version: 3, // `name` became `title`
      apply: async ({ transform }) => {
        await transform("books", ({ name = "", ...book }) => ({ ...book, title: name }), { validate: { schema, idField: "id" } });
      },
      unapply: async ({ transform }) => {
        await transform("books", ({ title = "", ...book }) => ({ ...book, name: title }));
      },
    },
  ],
};
// #endregion

// What stands between the marks is what the guide shows.
describe("docs/migrations.md", () => {
  it("brings a database up, checks it, and refuses the way back where there is none", async () => {
    const space = randomUUID();
    const id = randomUUID();
    const open = (): Promise<Registry> =>
      openRegistry({
        config: {
          providers: { memory: { plugin: "memory", options: { space } } },
          protocols: { dao: "memory", migrations: "memory" },
          log: { level: "silent" },
        },
        env: {},
      });
    {
      await using old = await open();
      const text = { type: "object", required: ["id"], properties: { id: { type: "string" }, name: { type: "string" } } } as const;
      const books = await old.get("dao").open({ name: "books", schema: text, idField: "id" });
      await books.insert({ id, name: "Kim" });
    }
    // #region run
    await using registry = await open(); // openRegistry(…)
    const migrations = registry.get("migrations");
    const { from, to, recorded } = await migrations.run(plan); // waits while another instance migrates
    // #endregion
    assert.deepEqual({ from, to, recorded }, { from: 0, to: 3, recorded: [1, 2, 3] });
    const books = await registry.get("dao").open({ name: "books", schema, idField: "id" });
    assert.deepEqual(await books.getById(id), { id, title: "Kim" });
    // #region check
    await migrations.check(plan.target);
    // #endregion
    await assert.rejects(migrations.check(4), { code: "ERR_HEXKIT_MIGRATION_VERSION" });
    // #region back
    await migrations.run({ ...plan, target: 2 });
    await assert.rejects(migrations.run({ ...plan, target: 1 }), { code: "ERR_HEXKIT_MIGRATION_INVALID" }); // step 2 has no way back
    // #endregion
    assert.equal(await migrations.version(), 2);
    clearMemorySpace(space);
  });

  it("shows what this test runs", () => {
    const source = readFileSync(import.meta.filename, "utf8");
    for (const [, indent = "", name = "", code = ""] of source.matchAll(/^( *)\/\/ #region (\w+)\n(.*?)^ *\/\/ #endregion$/gms)) {
      const text = code.trimEnd().replaceAll(new RegExp(`^${indent}`, "gm"), "");
      generatedSection("docs/migrations.md", name, `\`\`\`ts\n${text}\n\`\`\``);
    }
  });
});
