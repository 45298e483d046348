import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { generatedSection } from "../house/generated-file.ts";
import { root } from "../house/packed-package.ts";

/** What the page shows, by section: the file that it is cut from. */
const sources = {
  plugin: "examples/file-system-storage/index.ts",
  records: "examples/file-system-storage/storage.ts",
  contents: "examples/file-system-storage/storage.ts",
  unless: "examples/file-system-storage/storage.ts",
  conformance: "test/examples/file-system-storage.test.ts",
  send: "examples/nats-jetstream/event-publisher.ts",
  brokers: "test/services/nats-conformance.test.ts",
};

describe("docs/write-a-plugin.md", () => {
  for (const [section, path] of Object.entries(sources)) {
    it(`shows the ${section} of ${path}`, () => {
      generatedSection("docs/write-a-plugin.md", section, `\`\`\`ts\n${region(path, section)}\n\`\`\``);
    });
  }
});

/** The text between `// #region name` and `// #endregion`, moved to the margin, with the names by which a stranger imports. */
function region(path: string, name: string): string {
  const source = readFileSync(join(root, path), "utf8");
  const [, indent = "", text = ""] = new RegExp(`^( *)// #region ${name}\n(.*?)^ *// #endregion$`, "ms").exec(source) ?? [];
  if (text === "") throw new Error(`${path} has no region ${name}`);
  const lines = text.trimEnd().replace(/^\n+/, "").split("\n");
  return lines
    .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line))
    .join("\n")
    .replace(/\.\.\/\.\.\/examples\/[^/]+\//, "./")
    .replace("./nats.ts", "./broker.ts");
}
