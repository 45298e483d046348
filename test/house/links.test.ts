import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { describe, it } from "node:test";
import { brokenLinks, headingAnchors } from "./links.ts";
import { root } from "./packed-package.ts";

const passedOver = new Set(["node_modules", "dist", "coverage", ".git"]);

function documents(folder = root): [path: string, text: string][] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry): [string, string][] => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return passedOver.has(entry.name) ? [] : documents(path);
    return entry.name.endsWith(".md") ? [[relative(root, path).split(sep).join("/"), readFileSync(path, "utf8")]] : [];
  });
}

describe("links between documents", () => {
  it("lead somewhere, anchors too", () => {
    assert.deepEqual(
      brokenLinks(new Map(documents()), (path) => existsSync(join(root, path))),
      [],
    );
  });

  it("lead from docs/README.md to every page of docs", () => {
    const index = readFileSync(join(root, "docs", "README.md"), "utf8");
    const pages = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md") && name !== "README.md");
    assert.deepEqual(
      pages.filter((name) => !index.includes(`[${name}](${name})`)),
      [],
    );
  });
});

describe("the link checker", () => {
  const check = (files: Record<string, string>) => brokenLinks(new Map(Object.entries(files)), (path) => path in files || path === "src");

  it("finds files, anchors and folders that are not there", () => {
    assert.deepEqual(check({ "docs/a.md": "[x](b.md)\n\n[y](../c.md#two-words), [z](#here), [f](../src)", "c.md": "# One" }), [
      "docs/a.md:1: b.md: there is no docs/b.md",
      "docs/a.md:3: ../c.md#two-words: c.md has no heading #two-words",
      "docs/a.md:3: #here: docs/a.md has no heading #here",
    ]);
  });

  it("finds no fault with what is there, elsewhere, or code", () => {
    const text =
      "# A `b` & c!\n\n[x](c.md#one) [self](#a-b--c) [web](https://hexkit.invalid/x)\n\n`[no](no.md)`\n\n```md\n[no](no.md)\n```\n";
    assert.deepEqual(check({ "a.md": text, "c.md": "## One" }), []);
  });

  it("looks at links that stand in tables and after images, and at paths out of the project", () => {
    assert.deepEqual(check({ "a.md": "| [x](no.md) | ![i](no.png) |\n[up](../up.md)" }), [
      "a.md:1: no.md: there is no no.md",
      "a.md:1: no.png: there is no no.png",
      "a.md:2: ../up.md: leads out of the project",
    ]);
  });

  it("makes anchors as GitHub does", () => {
    const anchors = headingAnchors("# The Way\n## eventPublisher, `again`\n## Two\n## Two\n```md\n# no\n```\n### ERR_HEXKIT_X: a (b)");
    assert.deepEqual([...anchors], ["the-way", "eventpublisher-again", "two", "two-1", "err_hexkit_x-a-b"]);
  });
});
