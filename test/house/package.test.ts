import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { bring, type InstalledPackage, installPackage, manifest, root } from "./packed-package.ts";

/** What `import "hexkit"` may load besides itself. */
const lightPackages = ["@opentelemetry/api"];

/** A program of a user, compiled against the packed declarations. */
const consumer = `
import { definePlugin, type EventPublisher, HexkitError, isHexkitError, openRegistry, type OptionsSchema, type ProtocolTypes, type Registry } from "hexkit";
import { inject, injectable } from "hexkit/inject";
import { plugin as memory } from "hexkit/plugins/memory";

interface Mailer { mail(to: string): Promise<void> }
declare module "hexkit" {
  interface Protocols { mailer: ProtocolTypes<Mailer, { send(to: string): Promise<void> }> }
}

@injectable()
export class Service {
  constructor(@inject("eventPublisher") private readonly publisher: EventPublisher) {}
  get api(): EventPublisher { return this.publisher; }
}

const options = {
  type: "object", additionalProperties: false, required: ["host"],
  properties: { host: { type: "string", description: "Where it is." }, port: { type: "integer", default: 25, description: "Its port." } },
} as const satisfies OptionsSchema;

export const post = definePlugin({
  name: "post", apiVersion: 1, summary: "Mail by post", options,
  open: ({ host, port }) => { const text: string = host; const number: number = port; return { text, number }; },
  provides: { mailer: (client) => ({ send: async (to) => { console.log(client.text, client.number, to.length); } }) },
});

export async function main(): Promise<void> {
  await using registry: Registry = await openRegistry({ plugins: [memory, post] });
  const publisher: EventPublisher = registry.get("eventPublisher");
  const named: EventPublisher = registry.get("eventPublisher:audit");
  const mailer: Mailer = registry.get("mailer");
  await mailer.mail(String(publisher === named));
  // @ts-expect-error: no such protocol
  registry.get("nothing");
  try {
    await registry.close();
  } catch (error) {
    if (isHexkitError(error, "ERR_HEXKIT_CLOSED")) console.log(error.code satisfies HexkitError["code"]);
  }
}
`;

/** Records every module that is resolved, one URL a line, in the file of the variable. */
const recorder = `
import { appendFileSync } from "node:fs";
export async function resolve(specifier, context, next) {
  const resolved = await next(specifier, context);
  appendFileSync(process.env.RECORD, resolved.url + "\\n");
  return resolved;
}`;

describe("the packed package", () => {
  let installed: InstalledPackage;
  before(async () => {
    installed = await installPackage();
  });
  after(() => installed?.remove());

  it("holds what it exports, its sources and papers, and nothing else", () => {
    const targets = Object.values(manifest().exports).flatMap((target) => (typeof target === "string" ? [target] : Object.values(target)));
    for (const target of targets) assert.ok(installed.files.includes(target.slice(2)), `${target} is exported and not packed`);
    for (const paper of [
      "LICENSE",
      "README.md",
      "CHANGELOG.md",
      "package.json",
      "docs/README.md",
      "docs/errors.md",
      "docs/getting-started.md",
      "docs/settings.md",
      "docs/write-a-plugin.md",
    ])
      assert.ok(installed.files.includes(paper), `${paper} is missing`);
    const known =
      /^(LICENSE|(README|CHANGELOG)\.md|package\.json|hexkit\.config\.schema\.json|docs\/(README|[a-z-]+)\.md|(dist\/)?(core|config|plugins|testkit|cli)\/.+|core\/DECISIONS\.md|examples\/file-system-storage\/.+)$/;
    const strange = installed.files.filter(
      (file) =>
        !known.test(file) ||
        (/\.test\./.test(file) && !/^cli\/templates\//.test(file)) ||
        /node_modules|\.tsbuildinfo|(^|\/)\.|coverage/.test(file),
    );
    assert.deepEqual(strange, []);
  });

  it("maps every built file to a source that is packed", () => {
    const built = installed.files.filter((file) => /^dist\/.*\.(js|d\.ts)$/.test(file));
    assert.ok(built.length > 0);
    for (const file of built) {
      assert.ok(installed.files.includes(`${file}.map`), `${file} has no map`);
      assert.ok(installed.files.includes(file.replace(/^dist\//, "").replace(/(\.d\.ts|\.js)$/, ".ts")), `${file} has no source`);
    }
  });

  it("names each plugin's package as an optional peer", () => {
    const { peerDependencies = {} } = manifest();
    const { peerDependenciesMeta = {} } = manifest() as { peerDependenciesMeta?: Record<string, { optional?: boolean }> };
    for (const name of Object.keys(peerDependencies)) assert.equal(peerDependenciesMeta[name]?.optional, true, name);
  });

  it("is clean by publint", async () => {
    const { messages, pkg } = await publint({
      pkgDir: "package",
      pack: { tarball: new Uint8Array(readFileSync(installed.tarball)).buffer },
      strict: true,
    });
    assert.deepEqual(
      messages.map((message) => formatMessage(message, pkg as Record<string, unknown>, { color: false })),
      [],
    );
  });

  it("loads nothing heavy and no driver with its front door", async () => {
    const record = join(installed.folder, "record.txt");
    writeFileSync(record, "");
    writeFileSync(join(installed.folder, "recorder.mjs"), recorder);
    const register = `import { register } from "node:module"; register("./recorder.mjs", ${JSON.stringify(`file://${installed.folder}/`)});`;
    // What CommonJS modules require does not pass the hook: it is in the cache.
    const program = `await import("hexkit"); const { createRequire } = await import("node:module"); console.log(JSON.stringify(Object.keys(createRequire(import.meta.url).cache)));`;
    const { code, stdout, stderr } = await installed.node(
      ["--import", `data:text/javascript,${encodeURIComponent(register)}`, "--input-type=module", "-e", program],
      { RECORD: record },
    );
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    const loaded = [...readFileSync(record, "utf8").split("\n"), ...(JSON.parse(stdout) as string[])];
    const packages = new Set(loaded.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []));
    assert.ok(packages.delete("hexkit"), "the recorder saw nothing");
    assert.deepEqual(
      [...packages].filter((name) => !lightPackages.includes(name)),
      [],
    );
  });

  it("imports by each of its public names, without any driver installed", async () => {
    const names = Object.keys(manifest().exports).filter((key) => !key.endsWith(".json"));
    const outcomes = names.map((name) => installed.node(["--input-type=module", "-e", `await import("hexkit${name.slice(1)}")`]));
    for (const [index, { code, stderr }] of (await Promise.all(outcomes)).entries())
      assert.equal(code, 0, `hexkit${names[index]?.slice(1)}: ${stderr}`);
  });

  for (const compiler of ["typescript", "typescript-5"]) {
    it(`types a user's program under ${compiler}, libraries checked`, async () => {
      bring(installed.folder, ["@types/node", "undici-types"]);
      writeFileSync(join(installed.folder, "consumer.ts"), consumer);
      writeFileSync(
        join(installed.folder, "tsconfig.json"),
        JSON.stringify({
          compilerOptions: {
            target: "es2022",
            module: "nodenext",
            lib: ["es2023", "esnext.disposable"],
            types: ["node"],
            strict: true,
            exactOptionalPropertyTypes: true,
            experimentalDecorators: true,
            skipLibCheck: false,
            noEmit: true,
          },
          files: ["consumer.ts"],
        }),
      );
      const tsc = join(root, "node_modules", compiler, "bin", "tsc");
      const output = await new Promise<string>((done) => {
        execFile(process.execPath, [tsc, "-p", installed.folder], { cwd: installed.folder }, (_error, stdout, stderr) =>
          done(stdout + stderr),
        );
      });
      assert.equal(output, "");
    });
  }
});
