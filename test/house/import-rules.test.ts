import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { describe, it } from "node:test";
import { checkHouse, type House } from "./import-rules.ts";

const root = join(import.meta.dirname, "..", "..");
const rooms = ["core", "config", "plugins", "testkit", "cli", "examples", "bench", "test"];

function sources(folder: string): [string, string][] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry): [string, string][] => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : sources(path);
    return path.endsWith(".ts") ? [[relative(root, path).split(sep).join("/"), readFileSync(path, "utf8")]] : [];
  });
}

function thisHouse(): House {
  const pack = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    exports: Record<string, string | Record<string, string>>;
    peerDependencies?: Record<string, string>;
  };
  const present = new Set(readdirSync(root));
  return {
    files: new Map(rooms.filter((room) => present.has(room)).flatMap((room) => sources(join(root, room)))),
    publicNames: new Map(
      Object.entries(pack.exports).flatMap(([name, target]): [string, string][] =>
        typeof target === "object" && target["@hexkit/source"] !== undefined
          ? [[`hexkit${name.slice(1)}`, target["@hexkit/source"].slice(2)]]
          : [],
      ),
    ),
    driverPackages: [...Object.keys(pack.peerDependencies ?? {}), ...packagesOfExamples()],
  };
}

/** What the examples that are packages of their own depend on. */
function packagesOfExamples(): string[] {
  return readdirSync(join(root, "examples")).flatMap((example) => {
    const path = join(root, "examples", example, "package.json");
    if (!existsSync(path)) return [];
    const { dependencies = {} } = JSON.parse(readFileSync(path, "utf8")) as { dependencies?: Record<string, string> };
    return Object.keys(dependencies).filter((name) => name !== "hexkit");
  });
}

/** The breaches in a made-up house, as `file: rule: message`. */
function check(files: Record<string, string>): string[] {
  const house = {
    files: new Map(Object.entries(files)),
    publicNames: new Map([
      ["hexkit", "core/index.ts"],
      ["hexkit/plugins/nats", "plugins/nats/index.ts"],
    ]),
    driverPackages: ["nats"],
  };
  return checkHouse(house).map(({ file, rule, message }) => `${file}: ${rule}: ${message}`);
}

const empty = "export const x = 1;";

/** One rule per entry: sources that keep it, and sources that break it once each. */
const rules: Record<string, { says: RegExp; kept: Record<string, string>; broken: Record<string, string>[] }> = {
  "driver contracts import types of core only": {
    says: /a driver contract imports types of core only/,
    kept: { "core/protocols/dao/driver.ts": `import type { A } from "../../call.ts";`, "core/call.ts": empty },
    broken: [
      { "core/protocols/dao/driver.ts": `import { x } from "../../call.ts";`, "core/call.ts": empty },
      { "core/protocols/dao/driver.ts": `import { type A } from "../../call.ts";`, "core/call.ts": empty },
      { "core/protocols/dao/driver.ts": `import type { A } from "json-schema-to-ts";` },
      { "core/protocols/dao/driver.ts": `import type { A } from "node:fs";` },
    ],
  },
  "config knows nothing of ours": {
    says: /config knows itself/,
    kept: { "config/a.ts": `import convict from "convict"; import "node:fs"; import "./b.ts";`, "config/b.ts": empty },
    broken: [
      { "config/a.ts": `import { x } from "../core/call.ts";`, "core/call.ts": empty },
      { "config/a.ts": `import type { A } from "../core/call.ts";`, "core/call.ts": empty },
      { "config/a.ts": `let a: import("../core/call.ts").A;`, "core/call.ts": empty },
      { "config/a.ts": `const pino = await import("pino");` },
    ],
  },
  "only the registry knows config, by its front door": {
    says: /only .* knows config|core knows itself and config/,
    kept: { "core/registry.ts": `await import("../config/index.ts");`, "config/index.ts": empty },
    broken: [
      { "core/loader.ts": `import type { A } from "../config/index.ts";`, "config/index.ts": empty },
      { "core/registry.ts": `import type { A } from "../config/types.ts";`, "config/types.ts": empty },
      { "core/registry.ts": `await import("../plugins/nats/index.ts");`, "plugins/nats/index.ts": empty },
    ],
  },
  "core uses few packages": {
    says: /core does not use|load it by|only .* uses it|types only/,
    kept: {
      "core/a.ts": `import { trace } from "@opentelemetry/api"; import type { F } from "json-schema-to-ts"; const p = await import("pino"); import type { C } from "tsyringe";`,
      "core/inject.ts": `import "reflect-metadata"; import { inject } from "tsyringe";`,
      "core/container.ts": `import { createRequire } from "node:module"; createRequire(import.meta.url)("reflect-metadata"); createRequire(import.meta.url)("tsyringe");`,
      "core/schema.ts": `import type { Ajv } from "ajv"; const a = await import("ajv"); const f = await import("ajv-formats");`,
    },
    broken: [
      { "core/a.ts": `import { nats } from "nats";` },
      { "core/a.ts": `import type { Nats } from "nats";` },
      { "core/a.ts": `const nats = require("nats");` },
      { "core/a.ts": `import { createRequire } from "node:module"; createRequire(import.meta.url)("nats");` },
      { "core/a.ts": `import { createRequire } from "node:module"; createRequire(import.meta.url)("reflect-metadata");` },
      { "core/a.ts": `import nats = require("nats");` },
      { "core/a.ts": `import { pino } from "pino";` },
      { "core/a.ts": `import { container } from "tsyringe";` },
      { "core/a.ts": `import "reflect-metadata";` },
      { "core/a.ts": `await import("reflect-metadata");` },
      { "core/a.ts": `await import("ajv");` },
      { "core/schema.ts": `import { Ajv } from "ajv";` },
      { "core/a.ts": `await import("json-schema-to-ts");` },
    ],
  },
  "only the loader imports computed names": {
    says: /computed name/,
    kept: { "core/loader.ts": "await import('hexkit/plugins/' + name);", "core/a.ts": "await import(`pino`);" },
    broken: [
      { "core/a.ts": "await import('./' + name);" },
      { "plugins/nats/client.ts": "await import(name);" },
      { "plugins/nats/client.ts": "await import(`hexkit/$" + "{name}`);" },
      { "plugins/nats/client.ts": "await import(`./$" + "{name}.ts`);" },
    ],
  },
  'import "hexkit" stays light': {
    says: /would load reflect-metadata/,
    kept: {
      "core/index.ts": `export { x } from "./registry.ts";`,
      "core/registry.ts": `export const x = await import("./inject.ts"); import type { C } from "tsyringe";`,
      "core/inject.ts": `import "reflect-metadata";`,
    },
    broken: [
      {
        "core/index.ts": `export { x } from "./registry.ts";`,
        "core/registry.ts": `import "./inject.ts"; export const x = 1;`,
        "core/inject.ts": `import "reflect-metadata";`,
      },
    ],
  },
  "plugins know core's front door and themselves": {
    says: /a plugin knows itself|imported by path/,
    kept: {
      "plugins/nats/index.ts": `import { definePlugin } from "../../core/index.ts"; import { x } from "./client.ts";`,
      "plugins/nats/client.ts": `import type { Nats } from "nats"; await import("nats/lib"); export const x = 1;`,
      "core/index.ts": "",
    },
    broken: [
      { "plugins/nats/a.ts": `import { x } from "../../core/call.ts";`, "core/call.ts": empty },
      { "plugins/nats/a.ts": `import type { X } from "../../core/call.ts";`, "core/call.ts": empty },
      { "plugins/nats/a.ts": `import { x } from "../other/index.ts";`, "plugins/other/index.ts": empty },
      { "plugins/nats/a.ts": `import { x } from "../../config/index.ts";`, "config/index.ts": empty },
      { "plugins/nats/a.ts": `import { x } from "hexkit";`, "core/index.ts": "" },
    ],
  },
  "a plugin's package is known to client.ts, by import()": {
    says: /known to client.ts only|load it by import/,
    kept: { "plugins/nats/client.ts": 'const { connect } = await import("nats"); const x = await import(`nats/lib/$' + "{file}.js`);" },
    broken: [
      { "plugins/nats/client.ts": `import { connect } from "nats";` },

      { "plugins/nats/errors.ts": `import type { E } from "nats";` },
      { "plugins/nats/errors.ts": `await import("nats");` },
      { "plugins/nats/errors.ts": `let e: import("nats").E;` },
    ],
  },
  "testkit knows front doors": {
    says: /testkit knows/,
    kept: {
      "testkit/a.ts": `import "node:test"; import "../core/index.ts"; import "../config/index.ts"; import "../plugins/memory/index.ts";`,
      "testkit/b.ts": `import "../core/inside.ts";`,
      "testkit/containers/client.ts": `await import("testcontainers");`,
      "core/index.ts": "",
      "core/inside.ts": empty,
      "config/index.ts": empty,
      "plugins/memory/index.ts": empty,
    },
    broken: [
      { "testkit/a.ts": `import "../core/call.ts";`, "core/call.ts": empty },
      { "testkit/a.ts": `import "../plugins/nats/index.ts";`, "plugins/nats/index.ts": empty },
      { "testkit/a.ts": `import "pino";` },
      { "testkit/containers/client.ts": `import "testcontainers";` },
      { "testkit/a.ts": `await import("testcontainers");` },
    ],
  },
  "the command knows front doors and commander": {
    says: /cli knows/,
    kept: { "cli/a.ts": `import "commander"; import "../core/index.ts"; import "./b.ts";`, "cli/b.ts": empty, "core/index.ts": "" },
    broken: [
      { "cli/a.ts": `import "../plugins/memory/index.ts";`, "plugins/memory/index.ts": empty },
      { "cli/a.ts": `import "pino";` },
      { "cli/a.ts": `import "./templates/service/main.ts";`, "cli/templates/service/main.ts": empty },
    ],
  },
  "templates are written as strangers write": {
    says: /an example knows itself|and its ports know|not a public name/,
    kept: {
      "cli/templates/service/main.ts": `import "hexkit"; import "./core/a.ts";`,
      "cli/templates/service/core/a.ts": `import "../ports/b.ts";`,
      "cli/templates/service/ports/b.ts": empty,
      "cli/templates/object-storage/test/plugin.test.ts": `import "../../../../examples/file-system-storage/index.ts";`,
      "cli/templates/own-protocol/index.ts": `export type { A } from "./protocol.ts"; export default {};`,
      "cli/templates/own-protocol/protocol.ts": "export type A = 1;",
      "examples/file-system-storage/index.ts": "export default {};",
      "core/index.ts": "",
    },
    broken: [
      { "cli/templates/service/main.ts": `import "../../../core/index.ts";`, "core/index.ts": "" },
      { "cli/templates/service/main.ts": `import "../own-protocol/a.ts";`, "cli/templates/own-protocol/a.ts": empty },
      {
        "cli/templates/service/main.ts": `import "../../../examples/file-system-storage/index.ts";`,
        "examples/file-system-storage/index.ts": "",
      },
      { "cli/templates/service/core/a.ts": `import "hexkit";`, "core/index.ts": "" },
      { "cli/templates/service/main.ts": `import "hexkit/core/registry.ts";` },
    ],
  },
  "examples use public names": {
    says: /public names?|never talks|load it by import/,
    kept: {
      "examples/calc/main.ts": `import "hexkit"; import "hexkit/plugins/nats"; import { x } from "./core/a.ts"; import "zod";`,
      "examples/calc/core/a.ts": `import type { P } from "../ports/p.ts"; export const x = 1;`,
      "examples/calc/ports/p.ts": empty,
      "examples/queue/client.ts": `import type { A } from "nats"; await import("nats");`,
      "core/index.ts": "",
      "plugins/nats/index.ts": empty,
    },
    broken: [
      { "examples/calc/main.ts": `import "../../core/index.ts";`, "core/index.ts": "" },
      { "examples/calc/main.ts": `import "hexkit/core/call";` },
      { "examples/calc/main.ts": `import "nats";` },
      { "examples/queue/client.ts": `import "nats";` },
      { "examples/queue/index.ts": `import type { A } from "nats";` },
      { "examples/calc/main.ts": `import "../other/a.ts";`, "examples/other/a.ts": empty },
    ],
  },
  "an example's domain knows no hexkit": {
    says: /the domain core and its ports/,
    kept: { "examples/calc/core/a.ts": `import "node:crypto";` },
    broken: [
      { "examples/calc/core/a.ts": `import type { A } from "hexkit";`, "core/index.ts": "" },
      { "examples/calc/ports/a.ts": `import type { A } from "hexkit/inject";` },
      { "examples/calc/core/a.ts": `import "../translators/t.ts";`, "examples/calc/translators/t.ts": empty },
      { "examples/calc/core/a.ts": `import "nats";` },
    ],
  },
  "nobody imports tests": {
    says: /bench knows|core knows/,
    kept: { "test/a.ts": `import "../bench/a.ts";`, "bench/a.ts": `import "nats";` },
    broken: [
      { "bench/a.ts": `import "../test/a.ts";`, "test/a.ts": empty },
      { "core/a.ts": `import "../test/a.ts";`, "test/a.ts": empty },
    ],
  },
  "what is imported exists": { says: /there is no/, kept: { "test/a.ts": empty }, broken: [{ "test/a.ts": `import "./b.ts";` }] },
  "no cycles": {
    says: /a cycle/,
    kept: { "core/a.ts": `import "./b.ts"; import "./c.ts";`, "core/b.ts": `import "./c.ts";`, "core/c.ts": empty },
    broken: [
      { "core/a.ts": `import "./b.ts";`, "core/b.ts": `import "./c.ts";`, "core/c.ts": `import "./a.ts";` },
      { "core/a.ts": `import "./b.ts";`, "core/b.ts": `await import("./a.ts");` },
      { "core/a.ts": `import "./a.ts";` },
      { "core/a.ts": `import type { B } from "./b.ts";`, "core/b.ts": `import { x } from "./a.ts";` },
      { "core/a.ts": `import type { B } from "./b.ts";`, "core/b.ts": `let a: import("./a.ts").A;` },
    ],
  },
  "no default exports": {
    says: /no default exports/,
    kept: {
      "core/a.ts": empty,
      "test/core/fixtures/plugin.ts": "export default {};",
      "examples/file-system-storage/index.ts": "export default {};",
    },
    broken: [
      { "core/a.ts": "export default 1;" },
      { "core/a.ts": "const a = 1; export { a as default };" },
      { "test/a.ts": "export default class A {}" },
      { "examples/file-system-storage/storage.ts": "export default 1;" },
      { "core/a.ts": "export = 1;" },
    ],
  },
  "no barrels but front doors": {
    says: /re-export/,
    kept: {
      "core/index.ts": `export { x } from "./a.ts"; export type { T } from "./a.ts";`,
      "core/a.ts": empty,
      "core/b.ts": "const y = 1; export { y };",
    },
    broken: [
      { "core/all.ts": `export { x } from "./a.ts";`, "core/a.ts": empty },
      { "core/all.ts": `import { x } from "./a.ts"; export { x };`, "core/a.ts": empty },
      { "core/index.ts": `export * from "./a.ts";`, "core/a.ts": empty },
      { "core/index.ts": `export { x } from "./a.ts"; export const y = 1;`, "core/a.ts": empty },
    ],
  },
  "core and config name no technology": {
    says: /is named|file's name/,
    kept: {
      "core/a.ts": `/** Named as in \`kafka\` or "s3". */\nthrow new Error("a name such as \\"kafka\\"");\nconst redistribute = "s30";`,
      "core/loader.ts": `export const builtinPlugins = ["kafka"];`,
      "plugins/kafka/a.ts": "// Kafka",
    },
    broken: [
      { "core/a.ts": "// Kafka does it" },
      { "core/a.ts": "/** Kafka does it. */" },
      { "config/a.ts": `const name = "kafka";` },
      { "core/a.ts": "const kafkaBrokers = 1;" },
      { "core/a.ts": "const isMongoDb = 1;" },
      { "core/a.ts": "class S3Client {}" },
      { "core/a.ts": "const s3 = 1;" },
      { "core/kafka.ts": empty },
    ],
  },
};

describe("house rules", () => {
  it("hold in this checkout", () => {
    const violations = checkHouse(thisHouse());
    assert.deepEqual(
      violations.map(({ file, line, rule, message }) => `${file}:${line} ${rule}: ${message}`),
      [],
    );
  });

  for (const [rule, { says, kept, broken }] of Object.entries(rules)) {
    it(`${rule}: sees it kept and broken`, () => {
      assert.deepEqual(check(kept), []);
      for (const files of broken) {
        const found = check(files);
        assert.equal(found.length, 1, `${JSON.stringify(files)} gave ${JSON.stringify(found)}`);
        assert.match(found[0] as string, says);
      }
    });
  }
});
