import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readSources, resolveConfig } from "../../config/index.ts";
import { folderWith, known, lines, onKafka, onMemory, valid, vocabulary, wrong } from "./fixture.ts";

const named = (name: string) => ({ service: { name } });
const serviceOf = (input: Parameters<typeof readSources>[0]) => valid(resolveConfig(readSources(input), vocabulary)).service.name;

describe("finding the configuration", () => {
  it("takes hexkit.config.json from the working directory", async () => {
    assert.equal(serviceOf({ env: {}, cwd: await folderWith({ "hexkit.config.json": named("here") }) }), "here");
  });

  it("does without a file", async () => {
    const sources = readSources({ env: {}, cwd: await folderWith({}) });
    assert.deepEqual([sources.files, sources.problems], [[], []]);
    assert.equal(valid(resolveConfig(sources, vocabulary)).service.name, "unnamed");
  });

  it("prefers HEXKIT_CONFIG to the working directory, and the argument to both", async () => {
    const cwd = await folderWith({
      "hexkit.config.json": named("here"),
      "by-env.json": named("env"),
      "by-argument.json": named("argument"),
    });
    assert.equal(serviceOf({ env: { HEXKIT_CONFIG: "by-env.json" }, cwd }), "env");
    assert.equal(serviceOf({ config: "by-argument.json", env: { HEXKIT_CONFIG: "by-env.json" }, cwd }), "argument");
    assert.equal(serviceOf({ config: named("object"), env: { HEXKIT_CONFIG: "by-env.json" }, cwd }), "object");
  });

  it("reports a file that is named but missing, and nothing that follows from that", async () => {
    const cwd = await folderWith({});
    const sources = readSources({ env: { HEXKIT_CONFIG: "gone.json", HEXKIT_EVENTS_BROKERS: "a" }, cwd });
    assert.deepEqual(lines(resolveConfig(sources, vocabulary).problems), ['HEXKIT_CONFIG: file "gone.json": there is no such file']);
  });

  it("reports a configuration that is neither a path nor an object", () => {
    assert.deepEqual(wrong(7 as never), ["config: must be a path or an object, but is of type number"]);
  });

  it("reports a file that cannot be read", async () => {
    const cwd = await folderWith({});
    await mkdir(join(cwd, "folder.json"));
    assert.deepEqual(lines(readSources({ config: "folder.json", env: {}, cwd }).problems), [
      'config: file "folder.json": it cannot be read (EISDIR)',
    ]);
  });

  it("lays several files over each other: objects merge, arrays and references are replaced", async () => {
    const cwd = await folderWith({
      "base.json": onKafka({ ports: [1, 2], clientId: "base", token: { $env: "ONE" }, labels: { a: "1", "dotted.key": "x" } }),
      "site.json": { providers: { events: { options: { ports: [3], token: { $file: "token" }, labels: { b: "2", default: "d" } } } } },
      token: "from-file\n",
    });
    const config = valid(resolveConfig(readSources({ config: "base.json,site.json", env: {}, cwd }), vocabulary));
    assert.deepEqual(config.providers[0]?.options, {
      brokers: ["a:1"],
      ports: [3],
      clientId: "base",
      token: "from-file",
      tls: false,
      labels: { a: "1", "dotted.key": "x", b: "2", default: "d" },
    });
  });

  it("keeps the settings of a binding that a later file gives another provider", async () => {
    const cwd = await folderWith({
      "a.json": { ...onKafka(), protocols: { eventPublisher: { provider: "events", deliveryTimeoutMs: 7 } } },
      "b.json": { protocols: { eventPublisher: "memory" } },
    });
    const [binding] = valid(resolveConfig(readSources({ config: "a.json, b.json", env: {}, cwd }), vocabulary)).bindings;
    assert.deepEqual([binding?.provider, binding?.settings], ["memory", { deliveryTimeoutMs: 7 }]);
  });

  it("lets an object replace a value, and a value an object", async () => {
    const cwd = await folderWith({
      "a.json": onKafka({ sasl: 1, labels: { a: "1" } }),
      "b.json": { providers: { events: { options: { sasl: { password: "p" }, labels: 2 } } } },
    });
    const { problems } = resolveConfig(readSources({ config: "a.json,b.json", env: {}, cwd }), vocabulary);
    assert.deepEqual(lines(problems), ["b.json#/providers/events/options/labels: must be an object"]);
  });
});

describe("reading JSON", () => {
  const problemsOf = async (text: string): Promise<string[]> => {
    const sources = readSources({ config: "c.json", env: {}, cwd: await folderWith({ "c.json": text }) });
    assert.deepEqual(resolveConfig(sources, vocabulary).problems, sources.problems);
    return lines(sources.problems);
  };

  it("places syntax errors by line and column and never quotes the text", async () => {
    assert.deepEqual(await problemsOf('{\n  "a": {"password": hunter2}\n}'), ["c.json:2:21: expected a value"]);
    assert.deepEqual(await problemsOf('{"a": 1,}'), ["c.json:1:9: expected a key in double quotes"]);
    assert.deepEqual(await problemsOf('{,"a": 1}'), ["c.json:1:2: expected a key in double quotes"]);
    assert.deepEqual(await problemsOf('{"a" 1}'), ["c.json:1:6: expected `:`"]);
    assert.deepEqual(await problemsOf('{"a": 1 "b": 2}'), ["c.json:1:9: expected `,` or `}`"]);
    assert.deepEqual(await problemsOf("[1 2]"), ["c.json:1:4: expected `,` or `]`"]);
    assert.deepEqual(await problemsOf('{"a": "x\ny"}'), [
      "c.json:1:7: the text in double quotes that begins here is not closed, or holds an invalid escape",
    ]);
    assert.deepEqual(await problemsOf('{"a": 01}'), ["c.json:1:8: expected `,` or `}`"]);
    assert.deepEqual(await problemsOf("{} x"), ["c.json:1:4: expected the end of the text"]);
    assert.deepEqual(await problemsOf(""), ["c.json:1:1: the text ends too early"]);
    assert.deepEqual(await problemsOf('{"a": [1'), ["c.json:1:9: the text ends too early"]);
  });

  it("survives absurd nesting", async () => {
    assert.match((await problemsOf("[".repeat(100_000)))[0] ?? "", /nested too deep/);
  });

  it("reads all of JSON, with or without a byte order mark", async () => {
    const cwd = await folderWith({
      "c.json": '\ufeff{ "service": { "name": "\\u0041\\n\\"\\\\b", "instance" : null, "x": [true, false, -1.5e3, 0, [], {}] } }',
    });
    const { problems } = resolveConfig(readSources({ config: "c.json", env: {}, cwd }), vocabulary);
    assert.deepEqual(lines(problems), [
      "c.json#/service/instance: must be text",
      "c.json#/service/name: must be printable ASCII text and not empty",
      "c.json#/service/x: unknown; known: name, instance",
    ]);
  });

  it("refuses a key that is given twice, with its place", async () => {
    const cwd = await folderWith({ "c.json": '{ "service": {\n "name": "a",\n "name": "b" } }' });
    assert.deepEqual(lines(resolveConfig(readSources({ config: "c.json", env: {}, cwd }), vocabulary).problems), [
      'c.json:3:2: the key "name" is given twice in one object',
    ]);
  });

  it("refuses __proto__ in a file and in an object, and pollutes nothing", async () => {
    const cwd = await folderWith({ "c.json": '{ "__proto__": { "polluted": 1 } }' });
    assert.deepEqual(lines(readSources({ config: "c.json", env: {}, cwd }).problems), ['c.json:1:3: the key "__proto__" is not allowed']);
    assert.deepEqual(wrong(JSON.parse('{ "providers": { "__proto__": { "polluted": 1 } } }')), [
      'config#/providers: the key "__proto__" is not allowed',
    ]);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });

  it("takes inherited names for unknown ones", () => {
    assert.deepEqual(wrong({ protocols: { constructor: "memory", dao: "toString" } }), [
      'config#/protocols/constructor: unknown protocol "constructor"; known: eventPublisher, eventSubscriber, objectStorage, dao, outbox, twice, wrapper',
      'config#/protocols/dao: unknown provider or plugin "toString"; known: kafka, memory, minio',
    ]);
    assert.deepEqual(wrong(onKafka({ constructor: 1 })).length, 1);
  });

  it("refuses a file that is no object", async () => {
    assert.deepEqual(await problemsOf("[]"), ["c.json#: must be an object with the keys service, log, lifecycle, providers, protocols"]);
  });

  it("refuses what JSON could not say in a configuration given as an object", () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    assert.deepEqual(
      wrong({ providers: { a: loop, b: () => 1, c: Number.NaN } }).filter((line) => /JSON|itself|finite/.test(line)),
      [
        "config#/providers/a/self: must not contain itself",
        "config#/providers/b: must be JSON, but is of type function",
        "config#/providers/c: must be a finite number",
      ],
    );
  });
});

describe("naming the plugins to load", () => {
  const references = (config: object, env: Record<string, string> = {}) =>
    readSources({ config, env, cwd: "/cwd" })
      .references(["eventPublisher", "eventSubscriber", "dao"], ["kafka", "memory"])
      .map(({ specifier, place, folder, candidate }) => `${specifier} ${place} ${folder}${candidate === true ? " ?" : ""}`);

  it("names the plugins of bound providers only, each once", () => {
    const config = { ...onKafka({}, { eventPublisher: "events", eventSubscriber: "events" }) };
    assert.deepEqual(references({ ...config, providers: { ...config.providers, idle: { plugin: "memory" } } }), [
      "kafka config#/providers/events/plugin /cwd",
    ]);
  });

  it("names plugins that a binding uses without an entry: short names, packages and paths", () => {
    const protocols = {
      eventPublisher: "kafka",
      dao: "@acme/hexkit-plugin-x",
      eventSubscriber: "./own.js",
      "dao:b": "hexkit-plugin-y",
      "dao:c": "nobody",
    };
    assert.deepEqual(references({ protocols }), [
      "kafka config#/protocols/eventPublisher /cwd",
      "@acme/hexkit-plugin-x config#/protocols/dao /cwd",
      "./own.js config#/protocols/eventSubscriber /cwd",
      "hexkit-plugin-y config#/protocols/dao:b /cwd",
    ]);
  });

  it("lets the environment bind and rebind, named bindings too", () => {
    assert.deepEqual(references(onKafka(), { HEXKIT_EVENT_PUBLISHER: "memory" }), ["memory HEXKIT_EVENT_PUBLISHER /cwd"]);
    assert.deepEqual(references({}, { HEXKIT_DAO__BIG_ONE: "./dao.js", HEXKIT_DAO__BIG_ONE__SIZE: "kafka" }), [
      "./dao.js HEXKIT_DAO__BIG_ONE /cwd",
    ]);
    assert.deepEqual(references({ ...onKafka({}, {}) }, { HEXKIT_EVENT_PUBLISHER: "events" }), [
      "kafka config#/providers/events/plugin /cwd",
    ]);
  });

  it("names candidates for protocols that a plugin may bring", () => {
    assert.deepEqual(references(onKafka({}, {}), { HEXKIT_MAILER: "events", HEXKIT_PAGER__NIGHT: "@acme/hexkit-plugin-pager" }), [
      "kafka config#/providers/events/plugin /cwd ?",
      "@acme/hexkit-plugin-pager HEXKIT_PAGER__NIGHT /cwd ?",
    ]);
  });

  it("takes no option, setting, reserved or Kubernetes variable for a binding", () => {
    const env = {
      HEXKIT_EVENTS_ROOT: "./x",
      HEXKIT_DAO_PATH: "./x",
      HEXKIT_MEMORY_SPACE: "./x",
      HEXKIT_CONFIG: "./x.json",
      HEXKIT_TEST_A: "./x",
      HEXKIT_LOG_LEVEL: "./x",
      HEXKIT_NATS_PORT: "tcp://1.2.3.4:5",
      HEXKIT_MAILER: "http://a/b",
      OTHER: "./x",
    };
    assert.deepEqual(references(onKafka({}, {}), env), []);
  });

  it("resolves from the folder of the file that names the plugin", async () => {
    const cwd = await folderWith({});
    await mkdir(join(cwd, "sub"));
    await writeFile(join(cwd, "sub/c.json"), JSON.stringify({ protocols: { dao: "./own.js" } }));
    const [reference] = readSources({ config: "sub/c.json", env: {}, cwd }).references(["dao"], []);
    assert.equal(reference?.folder, join(cwd, "sub"));
  });

  it("refuses one relative path that means two files", async () => {
    const cwd = await folderWith({ "a.json": { protocols: { dao: "./own.js" } } });
    await mkdir(join(cwd, "sub"));
    await writeFile(
      join(cwd, "sub/b.json"),
      JSON.stringify({ protocols: { "dao:b": "./own.js" }, ...{ providers: { x: { plugin: "./own.js" } } } }),
    );
    const sources = readSources({ config: "a.json,sub/b.json", env: { HEXKIT_DAO__C: "x" }, cwd });
    assert.equal(sources.references(["dao"], []).length, 2);
    const own = { name: "own", provides: ["dao"], options: known(vocabulary.protocols.dao).settings };
    const { problems } = resolveConfig(sources, { ...vocabulary, plugins: { "./own.js": own } });
    assert.match(lines(problems).join("\n"), /named in two folders/);
  });

  it("understands the memory example", () => {
    assert.deepEqual(references(onMemory), ["memory config#/protocols/eventPublisher /cwd"]);
  });
});
