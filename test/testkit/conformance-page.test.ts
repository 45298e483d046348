import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { generatedSection } from "../house/generated-file.ts";

const root = join(import.meta.dirname, "..", "..");
const page = "docs/conformance.md";
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** What the page shows, by section: the test that it is cut from. */
const snippets = {
  storage: "test/plugins/memory/storage.test.ts",
  database: "test/plugins/memory/database-subject.ts",
  dao: "test/plugins/memory/dao.test.ts",
  relayed: "test/plugins/memory/relayed.test.ts",
};

/** A capability as its driver's contract describes it, and the tests that are about it. */
interface Capability {
  readonly name: string;
  readonly meaning: string;
  readonly declared: readonly string[];
  readonly missing: readonly string[];
}

describe(page, () => {
  for (const [section, path] of Object.entries(snippets)) {
    it(`shows ${path}`, () => {
      const [, text = ""] = /^\/\/ #region .*?\n(.*?)^\/\/ #endregion$/ms.exec(read(path)) ?? [];
      assert.notEqual(text, "", `${path} has no region`);
      const shown = text
        .trim()
        .replaceAll('"../../../core/index.ts"', '"hexkit"')
        .replaceAll('"../../../testkit/conformance/index.ts"', '"hexkit/testkit/conformance"')
        .replaceAll('"../../../testkit/index.ts"', '"hexkit/testkit"')
        .replaceAll("../../../plugins/memory/", "./");
      generatedSection(page, section, `\`\`\`ts\n${shown}\n\`\`\``);
    });
  }

  it("says of each capability what it means and what tests it", () => {
    generatedSection(page, "objectStorage", capabilities("object-storage", "ObjectStorageCapabilities", "storage-"));
    generatedSection(page, "daoCapabilities", capabilities("dao", "DaoCapabilities", "dao-"));
  });

  it("finds a test of every capability that is declared, and of every one that is not where core does not just do without", () => {
    for (const [folder, type, suite] of [
      ["object-storage", "ObjectStorageCapabilities", "storage-"],
      ["dao", "DaoCapabilities", "dao-"],
    ] as const) {
      for (const { name, declared, missing } of described(folder, type, suite)) {
        assert.ok(declared.length > 0, `${name}: no test of it`);
        assert.ok(missing.length > 0 || name in elsewhere, `${name}: no test of its absence`);
      }
    }
  });
});

/** What is done without a capability that the portable object itself does not need. */
const elsewhere: Readonly<Record<string, string>> = {
  watch: "relays look by themselves, every `relayIntervalMs`",
  leases: "`outbox`, `persistentPublisher` and `migrations` are refused",
};

function capabilities(folder: string, type: string, suite: string): string {
  const parts = described(folder, type, suite).map(({ name, meaning, declared, missing }) => {
    const absence = missing.length > 0 ? `tested: ${missing.join("; ")}` : (elsewhere[name] ?? "");
    return `**\`${name}\`**: ${meaning}\n\n- Declared, tested: ${declared.join("; ")}.\n- Not declared, ${absence}.`;
  });
  return parts.join("\n\n");
}

/** The members of a type with their comments, and the suite's tests that name them. */
function described(folder: string, type: string, suite: string): readonly Capability[] {
  const source = read(`core/protocols/${folder}/driver.ts`);
  const [, body = ""] = new RegExp(`export interface ${type} \\{\n(.*?)^\\}`, "ms").exec(source) ?? [];
  const tests = titles(suite);
  return [...body.matchAll(/\/\*\*(.*?)\*\/\s*readonly (\w+): boolean;/gs)].map(([, comment = "", name = ""]) => ({
    name,
    meaning: comment.replaceAll(/\s*\n\s*\*\s*/g, " ").trim(),
    declared: tests.filter((test) => test.needs === name).map(({ title }) => title),
    missing: tests.filter((test) => test.lacks === name).map(({ title }) => title),
  }));
}

/** The tests of a suite that are about a capability, by themselves or by their group. */
function titles(suite: string): { readonly title: string; readonly needs?: string; readonly lacks?: string }[] {
  const files = readdirSync(join(root, "testkit", "conformance")).filter((name) => name.startsWith(suite));
  return files.flatMap((name) => {
    let group: { readonly name: string; readonly needs?: string } = { name: "" };
    return [...read(`testkit/conformance/${name}`).matchAll(/\b(suite|test)\(\s*"([^"]+)"(.*?)(?=\b(?:suite|test)\(\s*"|$)/gs)].flatMap(
      ([, kind, title = "", rest = ""]) => {
        if (kind === "suite") {
          const [, plain = title, needs] = /^(.*?)(?: \(capability (\w+)\))?$/.exec(title) ?? [];
          group = { name: plain, ...(needs !== undefined && { needs }) };
          return [];
        }
        const [, plain = title, absent] = /^(.*?)(?: \(no capability (\w+)\))?$/.exec(title) ?? [];
        const [, needs = group.needs] = /needs: "(\w+)"/.exec(rest) ?? [];
        const [, lacks = absent] = /lacks: "(\w+)"/.exec(rest) ?? [];
        const about = lacks !== undefined ? { lacks } : needs !== undefined ? { needs } : undefined;
        return about === undefined ? [] : [{ title: `${group.name} ${plain}`.trim(), ...about }];
      },
    );
  });
}
