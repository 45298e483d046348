import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { known, onKafka, onMemory, resolved, valid, vocabulary, type vocabulary as Words, withOptions, wrong } from "./fixture.ts";

describe("validating the configuration", () => {
  it("fills in defaults, also in nested options", () => {
    const { providers, bindings, service, log, lifecycle } = valid(resolved(onKafka({ sasl: { password: "p" } })));
    assert.deepEqual(providers, [
      {
        name: "events",
        plugin: "kafka",
        options: { brokers: ["a:1"], tls: false, clientId: "hexkit", sasl: { mechanism: "plain", password: "p" } },
      },
    ]);
    assert.deepEqual(bindings[0], {
      binding: "eventPublisher",
      protocol: "eventPublisher",
      provider: "events",
      settings: { deliveryTimeoutMs: 1000 },
    });
    assert.deepEqual([service.name, log, lifecycle], ["unnamed", { level: "info" }, { connectTimeoutMs: 10_000, closeTimeoutMs: 30_000 }]);
    assert.match(service.instance, /^[!-~]+$/);
  });

  it("reports all problems at once, sorted by place, with nearest names", () => {
    const config = {
      servcie: {},
      log: { levl: "info" },
      providers: { events: { plugin: "kafka", opts: {}, options: { broker: ["a"], ports: ["1"] } } },
      protocols: { eventPublisher: { provider: "events", deliveryTimeoutMS: 1 }, eventSubscribr: "events", dao: "memroy" },
    };
    assert.deepEqual(wrong(config, { HEXKIT_LOG_LEVL: "x" }), [
      'config#/log/levl: unknown; did you mean "level"?',
      'config#/protocols/dao: unknown provider or plugin "memroy"; did you mean "memory"?',
      'config#/protocols/eventPublisher/deliveryTimeoutMS: unknown; did you mean "deliveryTimeoutMs"?',
      'config#/protocols/eventSubscribr: unknown protocol "eventSubscribr"; did you mean "eventSubscriber"?',
      'config#/providers/events/options: "brokers" is missing: provider "events" (plugin kafka) needs it; set it here or by HEXKIT_EVENTS_BROKERS',
      'config#/providers/events/options/broker: unknown; did you mean "brokers"?',
      "config#/providers/events/options/ports/0: must be a whole number",
      'config#/providers/events/opts: unknown key "opts"; known: plugin, options',
      'config#/servcie: unknown section "servcie"; did you mean "service"?',
      "HEXKIT_LOG_LEVL: unknown; did you mean HEXKIT_LOG_LEVEL?",
    ]);
  });

  it("gives no configuration when there is a problem, but the values as far as known", () => {
    const { config, values } = resolved({ service: { name: "s" }, x: 1 });
    assert.equal(config, undefined);
    assert.equal(values.find(({ pointer }) => pointer === "/service/name")?.value, "s");
  });

  it("names the variable of a missing option when no file speaks of the provider", () => {
    assert.deepEqual(wrong({ protocols: { eventPublisher: "kafka" } }), [
      'HEXKIT_KAFKA_BROKERS: is missing: provider "kafka" (plugin kafka) needs "brokers"',
    ]);
  });

  it("does not coerce what a file says", () => {
    assert.deepEqual(wrong(onKafka({ brokers: "a,b", tls: "true", ratio: null, acks: 7, level: "lo", labels: { a: 1 } })), [
      "config#/providers/events/options/acks: must be one of 0, 1, null",
      "config#/providers/events/options/brokers: must be a list",
      "config#/providers/events/options/labels/a: must be text",
      'config#/providers/events/options/level: must be one of "low", "high"',
      "config#/providers/events/options/ratio: must be a number",
      "config#/providers/events/options/tls: must be true or false",
    ]);
  });

  it("checks formats and limits in plain words", () => {
    const config = {
      providers: { files: { plugin: "minio", options: { endpoint: "not a url" } } },
      protocols: { objectStorage: "files", dao: "memory" },
    };
    assert.deepEqual(wrong(config, { HEXKIT_MEMORY_SPACE: "" }), [
      "config#/providers/files/options/endpoint: must be a valid uri",
      "HEXKIT_MEMORY_SPACE: must not be empty",
    ]);
    assert.deepEqual(wrong(onKafka({ brokers: [] })), ["config#/providers/events/options/brokers: must have at least 1 element"]);
  });

  it("says of a choice what may be chosen, once", () => {
    const words = withOptions({ either: { anyOf: [{ type: "boolean" }, { type: "array", items: { type: "string" } }] } });
    const config = { providers: { events: { plugin: "kafka", options: { either: [1] } } }, protocols: { eventPublisher: "events" } };
    assert.deepEqual(wrong(config, {}, words), ["config#/providers/events/options/either: must be true or false, or a list"]);
  });

  it("refuses sections, entries and bindings of the wrong shape", () => {
    assert.deepEqual(
      wrong({
        $schema: 1,
        service: "x",
        providers: { a: 1, b: {}, c: { plugin: 1 }, d: { plugin: "kafka", options: [] } },
        protocols: { dao: 1, outbox: [], eventPublisher: { provider: {} } },
      }),
      [
        "config#/$schema: must be text",
        "config#/protocols/dao: must be a provider's name or an object",
        "config#/protocols/eventPublisher/provider: must be a provider's name",
        "config#/protocols/outbox: must be an object",
        "config#/providers/a: must be an object with the keys plugin and options",
        'config#/providers/b: "plugin" is missing: it names the technology',
        "config#/providers/c/plugin: must be the name of a plugin",
        "config#/providers/d/options: must be an object",
        "config#/service: must be an object",
      ],
    );
    assert.deepEqual(wrong({ protocols: [], providers: 1 }), [
      "config#/protocols: must be an object",
      "config#/providers: must be an object",
    ]);
  });

  it("accepts $schema", () => {
    assert.deepEqual(wrong({ $schema: "./schema.json" }), []);
  });

  it("reports a plugin whose schema cannot be compiled", () => {
    assert.match(
      wrong({ protocols: { eventPublisher: "kafka" } }, {}, withOptions({ a: { type: "nonsense" } })).join(),
      /schema is not valid/,
    );
  });
});

describe("naming the service", () => {
  it("demands a name only if a binding needs it, and says by which variable", () => {
    assert.deepEqual(wrong({ protocols: { eventSubscriber: "memory" } }), [
      "HEXKIT_SERVICE_NAME: is missing: eventSubscriber needs the service's name (service.name)",
    ]);
    assert.equal(valid(resolved(onMemory)).service.name, "unnamed");
  });

  it("takes printable ASCII only", () => {
    for (const name of ["", "  ", "größe", "a\tb"]) {
      assert.deepEqual(wrong({ service: { name } }), ["config#/service/name: must be printable ASCII text and not empty"]);
      assert.deepEqual(wrong({}, { HEXKIT_SERVICE_NAME: name }), ["HEXKIT_SERVICE_NAME: must be printable ASCII text and not empty"]);
    }
  });
});

describe("naming providers", () => {
  it("refuses names that are reserved, protocols, or not lower camel case", () => {
    const names = ["service", "log", "config", "test", "lifecycle", "telemetry", "dao", "Events", "my-events", "my_events", "1st"];
    const problems = wrong({ providers: Object.fromEntries(names.map((name) => [name, { plugin: "memory" }])) });
    assert.equal(problems.length, names.length, problems.join("\n"));
    assert.ok(problems.includes('config#/providers/dao: no provider may be called "dao": that name is taken'));
    assert.ok(problems.includes('config#/providers/my-events: provider "my-events": the name must be lower camel case, such as "events"'));
  });

  it("refuses an unknown short plugin name even if nothing is bound to it", () => {
    assert.deepEqual(wrong({ providers: { a: { plugin: "kafak" }, b: { plugin: "@acme/hexkit-plugin-x" } } }), [
      'config#/providers/a/plugin: unknown plugin "kafak"; did you mean "kafka"?',
    ]);
  });

  it("suggests the first of equally near names", () => {
    const providers = { north1: { plugin: "memory" }, north2: { plugin: "memory" } };
    assert.match(wrong({ providers, protocols: { dao: "north3" } }).join(), /did you mean "north1"\?$/);
  });

  it("lists known names when none is near", () => {
    assert.deepEqual(wrong({ protocols: { dao: "postgres" } }), [
      'config#/protocols/dao: unknown provider or plugin "postgres"; known: kafka, memory, minio',
    ]);
  });

  it("reports a plugin that the sources name but that is not loaded", () => {
    assert.deepEqual(wrong({ protocols: { dao: "./own.js" } }), ['config#/protocols/dao: plugin "./own.js" is not loaded']);
  });

  it("refuses a provider without the protocol, and says which plugins have it", () => {
    assert.deepEqual(wrong({ protocols: { dao: "minio" } }), [
      'config#/protocols/dao: provider "minio" (plugin minio) has no dao; it provides objectStorage. Loaded plugins that have it: memory',
    ]);
  });

  it("calls an implied provider by its plugin's own name, and refuses two of one name", () => {
    const protocols = { eventPublisher: "@acme/hexkit-plugin-nats" };
    const { providers, bindings } = valid(resolved({ protocols }, { HEXKIT_NATS_URL: "u" }));
    assert.deepEqual(
      [providers, bindings[0]?.provider],
      [[{ name: "nats", plugin: "@acme/hexkit-plugin-nats", options: { url: "u" } }], "nats"],
    );
    assert.deepEqual(wrong({ protocols, providers: { nats: { plugin: "memory" } } }), [
      'config#/protocols/eventPublisher: two providers are called "nats": "@acme/hexkit-plugin-nats" and an entry in providers; give this one an entry with another name in providers',
    ]);
    const twin: typeof Words = {
      ...vocabulary,
      plugins: { ...vocabulary.plugins, "./nats.js": known(vocabulary.plugins["@acme/hexkit-plugin-nats"]) },
    };
    assert.match(
      wrong({ protocols: { ...protocols, "eventPublisher:b": "./nats.js" } }, {}, twin).join(),
      /two providers are called "nats"/,
    );
  });

  it("lets a declared provider bear a built-in plugin's name", () => {
    const { providers } = valid(resolved({ providers: { memory: { plugin: "memory", options: { partitions: 9 } } }, ...onMemory }));
    assert.deepEqual(providers, [{ name: "memory", plugin: "memory", options: { partitions: 9 } }]);
  });

  it("gives providers in order of first use, each once", () => {
    const protocols = { dao: "memory", eventPublisher: "events", "eventPublisher:b": "memory" };
    assert.deepEqual(
      valid(resolved(onKafka({}, protocols))).providers.map(({ name }) => name),
      ["memory", "events"],
    );
  });
});

describe("naming bindings", () => {
  it("refuses names that no variable could express", () => {
    for (const binding of ["dao:my-orders", "dao:Orders", "dao:a:b", "dao:", ":a"]) {
      assert.match(wrong({ protocols: { [binding]: "memory" } }).join(), /must be a protocol, or a protocol and a name/, binding);
    }
  });

  it("refuses an entry without a provider, unless the environment gives one", () => {
    const config = { service: { name: "s" }, protocols: { eventSubscriber: { concurrency: 2 } } };
    assert.deepEqual(wrong(config), ['config#/protocols/eventSubscriber: no provider: set "provider" here, or HEXKIT_EVENT_SUBSCRIBER']);
    assert.equal(valid(resolved(config, { HEXKIT_EVENT_SUBSCRIBER: "memory" })).bindings[0]?.settings.concurrency, 2);
  });
});

describe("composed protocols", () => {
  const bound = { dao: "memory", eventPublisher: "memory", "dao:orders": "memory" };
  const composed = (protocols: object, env: Record<string, string> = {}) =>
    valid(resolved({ protocols }, env)).bindings.filter(({ parts }) => parts !== undefined);

  it("are there without an entry when their parts are bound, and otherwise not", () => {
    assert.deepEqual(composed(bound), [
      {
        binding: "outbox",
        protocol: "outbox",
        parts: { dao: "dao", eventPublisher: "eventPublisher" },
        settings: { relayIntervalMs: 500 },
      },
    ]);
    assert.deepEqual(composed({ dao: "memory" }), []);
  });

  it("take settings and other parts from an entry", () => {
    assert.deepEqual(composed({ ...bound, outbox: { dao: "dao:orders", relayIntervalMs: 5 }, "outbox:second": {} }), [
      {
        binding: "outbox",
        protocol: "outbox",
        parts: { dao: "dao:orders", eventPublisher: "eventPublisher" },
        settings: { relayIntervalMs: 5 },
      },
      {
        binding: "outbox:second",
        protocol: "outbox",
        parts: { dao: "dao", eventPublisher: "eventPublisher" },
        settings: { relayIntervalMs: 500 },
      },
    ]);
  });

  it("take settings and parts from the environment, with and without an entry", () => {
    const env = {
      HEXKIT_OUTBOX_RELAY_INTERVAL_MS: "7",
      HEXKIT_OUTBOX__ORDERS__DAO: "dao:orders",
      HEXKIT_OUTBOX__ORDERS__RELAY_INTERVAL_MS: "8",
    };
    const [unnamed, orders] = composed(bound, env).sort((a, b) => a.binding.localeCompare(b.binding));
    assert.deepEqual(
      [unnamed?.settings, orders?.parts, orders?.settings],
      [{ relayIntervalMs: 7 }, { dao: "dao:orders", eventPublisher: "eventPublisher" }, { relayIntervalMs: 8 }],
    );
    assert.equal(
      composed({ ...bound, "outbox:orders": {} }, { HEXKIT_OUTBOX__ORDERS__DAO: "dao:orders" }).find(
        ({ binding }) => binding === "outbox:orders",
      )?.parts?.dao,
      "dao:orders",
    );
  });

  it("refuse a named one that only a setting speaks of", () => {
    assert.match(
      wrong({ protocols: bound }, { HEXKIT_OUTBOX__ORDERS__RELAY_INTERVAL_MS: "8" }).join(),
      /^HEXKIT_OUTBOX__ORDERS__RELAY_INTERVAL_MS: unknown/,
    );
  });

  it("refuse a provider, in the environment and in a file", () => {
    const message = "outbox has no provider of its own, it is composed of dao, eventPublisher; choose those bindings instead";
    assert.deepEqual(wrong({}, { HEXKIT_OUTBOX: "memory", HEXKIT_OUTBOX__ORDERS: "memory" }), [
      `HEXKIT_OUTBOX: ${message} (HEXKIT_OUTBOX_DAO, HEXKIT_OUTBOX_EVENT_PUBLISHER)`,
      `HEXKIT_OUTBOX__ORDERS: ${message} (HEXKIT_OUTBOX__ORDERS__DAO, HEXKIT_OUTBOX__ORDERS__EVENT_PUBLISHER)`,
    ]);
    assert.deepEqual(wrong({ protocols: { ...bound, outbox: "memory" } }), [
      `config#/protocols/outbox: ${message} (HEXKIT_OUTBOX_DAO, HEXKIT_OUTBOX_EVENT_PUBLISHER)`,
    ]);
  });

  it("refuse parts that are not bound, or are bindings of another protocol", () => {
    assert.deepEqual(wrong({ protocols: { dao: "memory", outbox: {} } }), [
      'config#/protocols/outbox: outbox is composed of "eventPublisher", which is not bound; bind it by HEXKIT_EVENT_PUBLISHER, or choose another by "eventPublisher"',
    ]);
    assert.deepEqual(wrong({ protocols: { ...bound, outbox: { dao: "dao:order", eventPublisher: "dao" } } }), [
      'config#/protocols/outbox/dao: outbox is composed of "dao:order", which is not bound; did you mean "dao:orders"?',
      'config#/protocols/outbox/eventPublisher: eventPublisher of outbox must be a binding of eventPublisher, such as "eventPublisher", not "dao"; known: eventPublisher',
    ]);
  });

  it("come after what they refer to, whatever the order of the entries", () => {
    const protocols = { twice: { outbox: "outbox:late", size: 1 }, "twice:b": { size: 2 }, "outbox:late": {}, ...bound };
    const order = composed(protocols).map(({ binding }) => binding);
    assert.deepEqual(order, ["outbox:late", "twice", "outbox", "twice:b"]);
  });

  it("are not implied if they lack a required setting, but must have it if they are asked for", () => {
    assert.ok(!composed(bound).some(({ protocol }) => protocol === "twice"));
    assert.deepEqual(wrong({ protocols: { ...bound, "twice:b": {} } }), [
      'config#/protocols/twice:b: "size" is missing: twice:b needs it; set it here or by HEXKIT_TWICE__B__SIZE',
    ]);
  });

  it("refuse cycles", () => {
    const cycle = { "wrapper:a": { other: "wrapper:b" }, "wrapper:b": { other: "wrapper:a" } };
    assert.deepEqual(wrong({ protocols: { ...bound, ...cycle } }), [
      "config#/protocols/wrapper:a: is composed of itself: wrapper:a → wrapper:b → wrapper:a",
    ]);
  });

  it("are not implied without a service name if they need one, and demand it if they are asked for", () => {
    const words: typeof Words = {
      ...vocabulary,
      protocols: { ...vocabulary.protocols, outbox: { ...known(vocabulary.protocols.outbox), needsServiceName: true } },
    };
    assert.deepEqual(
      valid(resolved({ protocols: bound }, {}, words)).bindings.map(({ binding }) => binding),
      Object.keys(bound),
    );
    assert.equal(valid(resolved({ protocols: bound }, { HEXKIT_SERVICE_NAME: "s" }, words)).bindings.at(-1)?.binding, "outbox");
    assert.match(wrong({ protocols: { ...bound, outbox: {} } }, {}, words).join(), /^HEXKIT_SERVICE_NAME: is missing: outbox needs/);
  });
});

describe("checking the vocabulary", () => {
  it("refuses options that end in File, are not lower camel case, or are nested too deep", () => {
    const inner = { type: "object", properties: { deep: { type: "object", properties: { er: { type: "string" } } } } } as const;
    assert.deepEqual(wrong({}, {}, withOptions({ keyFile: { type: "string" }, "kebab-case": { type: "string" }, Upper: {}, inner })), [
      'plugin kafka: option "kebab-case": the name must be lower camel case',
      'plugin kafka: option "keyFile": the name must not end in "File", which marks variables that name a secret\'s file',
      'plugin kafka: option "Upper": the name must be lower camel case',
      'plugin kafka, option inner: option "deep": nested deeper than one level',
    ]);
  });

  it("refuses a protocol that is called like a section, and a setting called provider", () => {
    const bad = { settings: { type: "object", additionalProperties: false, properties: { provider: { type: "string" } } } } as const;
    const problems = wrong({}, {}, { ...vocabulary, protocols: { log: bad } });
    assert.ok(problems.includes("protocol log: the name is reserved, or not lower camel case"), problems.join("\n"));
    assert.ok(problems.includes('protocol log: no setting may be called "provider"'), problems.join("\n"));
  });
});
