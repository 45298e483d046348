import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Ajv } from "ajv";
import { root } from "./packed-package.ts";

interface Snippet {
  readonly place: string;
  readonly language: string;
  readonly text: string;
  /** Cut out of a source by a test, which runs it. */
  readonly isGenerated: boolean;
}

function snippets(path: string): Snippet[] {
  const page = readFileSync(join(root, path), "utf8");
  const sections = [...page.matchAll(/^<!-- generated: .*?^<!-- end -->$/gms)].map(
    ({ index, 0: { length } }) => [index, index + length] as const,
  );
  return [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(({ index, 1: language = "", 2: text = "" }) => ({
    place: `${path}:${page.slice(0, index).split("\n").length}`,
    language,
    text,
    isGenerated: sections.some(([begin, end]) => begin < index && index < end),
  }));
}

const pages = [
  "README.md",
  "testkit/README.md",
  ...["docs", "plugins", "examples"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name)),
  ),
].filter((path) => !path.includes("node_modules"));

describe("snippets in documents", () => {
  it("of code in docs are cut out of sources that a test runs", () => {
    const written = pages
      .filter((path) => path.startsWith("docs/"))
      .flatMap(snippets)
      .filter(({ language, isGenerated }) => language === "ts" && !isGenerated);
    assert.deepEqual(
      written.map(({ place }) => place),
      [],
    );
  });

  it("of configuration are configuration", () => {
    const schema = JSON.parse(readFileSync(join(root, "hexkit.config.schema.json"), "utf8")) as object;
    const validate = new Ajv({ strict: false, allErrors: true }).compile(schema);
    const configurations = pages
      .flatMap(snippets)
      .filter(({ language, text }) => language === "json" && /"(providers|protocols)"/.test(text));
    assert.ok(configurations.length >= 8, `there are some: ${configurations.length}`);
    const problems = configurations.flatMap(({ place, text }) =>
      validate(JSON.parse(text)) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${place}: ${instancePath} ${message}`),
    );
    assert.deepEqual(problems, []);
  });
});

/** What the README's snippets take for granted, each by the name that it brings. */
const surroundings: Readonly<Record<string, string>> = {
  registry: 'declare const registry: import("hexkit").Registry;',
  EventPublisher: 'import type { EventPublisher } from "hexkit";',
  stream: "declare const stream: ReadableStream<Uint8Array>;",
  Order:
    'const Order = { type: "object", additionalProperties: false, required: ["id", "total"], properties: { id: { type: "string" }, total: { type: "number" } } } as const;',
  order: "declare const order: { id: string; total: number };",
  ...Object.fromEntries(
    ["openTestRegistry", "recordEvents", "publishEvents", "settled", "expectEvents"].map((name) => [
      name,
      `import { ${name} } from "hexkit/testkit";`,
    ]),
  ),
  placed: 'const placed = { type: "order_placed", key: "o-17", payload: { total: 12.5 } };',
  connect:
    "declare function connect(url?: string): Promise<{ end(): Promise<void>; noop(): Promise<void>; send(message: { to: string; text: string }): Promise<void> }>;",
};

describe("snippets of code in README.md", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "hexkit-snippets-"));
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("are well typed, with what they take for granted", async () => {
    const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      exports: Record<string, string | Record<string, string>>;
    };
    const paths = Object.entries(exports).flatMap(([name, target]) =>
      typeof target === "object" && target["@hexkit/source"] !== undefined
        ? [[`hexkit${name.slice(1)}`, [join(root, target["@hexkit/source"])]]]
        : [],
    );
    const code = snippets("README.md").filter(({ language }) => language === "ts");
    assert.ok(code.length >= 5, `there are some: ${code.length}`);
    for (const { place, text } of code) {
      const given = Object.entries(surroundings).filter(
        ([name]) => new RegExp(`\\b${name}\\b`).test(text) && !new RegExp(`(const|using|import \\{[^}]*) ${name}\\b`).test(text),
      );
      writeFileSync(join(folder, `${place.replace(/\W/g, "-")}.ts`), `${given.map(([, line]) => line).join("\n")}\n${text}\nexport {};\n`);
    }
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    const compilerOptions = { paths: Object.fromEntries(paths), noUnusedLocals: false, noUnusedParameters: false };
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ extends: join(root, "tsconfig.json"), compilerOptions, include: ["*.ts"], exclude: [] }),
    );
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    const output = await new Promise<string>((done) => {
      execFile(process.execPath, [tsc, "-p", folder], { cwd: folder }, (_error, stdout, stderr) => done(stdout + stderr));
    });
    assert.equal(output, "");
  });
});
