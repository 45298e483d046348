import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { known, onKafka, onMemory, options, resolved, valid, vocabulary, withOptions, wrong } from "./fixture.ts";

const optionsOf = (env: Record<string, string>): Record<string, unknown> => options(onKafka(), env) as Record<string, unknown>;

describe("reading options and settings from the environment", () => {
  it("lets the environment win over files", () => {
    assert.equal(optionsOf({ HEXKIT_EVENTS_CLIENT_ID: "env" }).clientId, "env");
    assert.equal((options(onKafka({ clientId: "file" }), { HEXKIT_EVENTS_CLIENT_ID: "env" }) as { clientId: string }).clientId, "env");
  });

  it("reads lists by comma, and JSON where it begins like JSON", () => {
    assert.deepEqual(optionsOf({ HEXKIT_EVENTS_BROKERS: "a:9092, b:9092" }).brokers, ["a:9092", "b:9092"]);
    assert.deepEqual(optionsOf({ HEXKIT_EVENTS_PORTS: "1,2" }).ports, [1, 2]);
    assert.deepEqual(optionsOf({ HEXKIT_EVENTS_BROKERS: '["a,b"]' }).brokers, ["a,b"]);
    assert.deepEqual(optionsOf({ HEXKIT_EVENTS_LABELS: '{"a":"1"}' }).labels, { a: "1" });
  });

  it("reads true, false, 1 and 0 as booleans and nothing else", () => {
    assert.deepEqual(
      ["true", "1", "false", "0"].map((text) => optionsOf({ HEXKIT_EVENTS_TLS: text }).tls),
      [true, true, false, false],
    );
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_TLS: "yes" }), ["HEXKIT_EVENTS_TLS: must be true or false"]);
  });

  it("reads numbers strictly", () => {
    assert.equal(optionsOf({ HEXKIT_EVENTS_RATIO: "1.5e-3" }).ratio, 0.0015);
    assert.equal(optionsOf({ HEXKIT_EVENTS_ACKS: "null" }).acks, null);
    for (const text of ["0x10", " 1", "1.5", "9007199254740993", "Infinity", "one"]) {
      assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENT_PUBLISHER_DELIVERY_TIMEOUT_MS: text }), [
        "HEXKIT_EVENT_PUBLISHER_DELIVERY_TIMEOUT_MS: must be a whole number",
      ]);
    }
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_RATIO: "-1" }), ["HEXKIT_EVENTS_RATIO: must be >= 0"]);
  });

  it("reads a value that may be a boolean or text as either", () => {
    const read = (text: string) =>
      valid(resolved({ service: { name: "s" }, protocols: { eventSubscriber: "memory" } }, { HEXKIT_EVENT_SUBSCRIBER_DEAD_LETTER: text }))
        .bindings[0]?.settings.deadLetter;
    assert.deepEqual(["true", "false", "topic", "1"].map(read), [true, false, "topic", "1"]);
  });

  it("takes an empty variable for set: fine for text, a problem for other types", () => {
    assert.equal(optionsOf({ HEXKIT_EVENTS_CLIENT_ID: "" }).clientId, "");
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_TLS: "", HEXKIT_EVENTS_BROKERS: "", HEXKIT_EVENTS_RATIO: "" }), [
      "HEXKIT_EVENTS_BROKERS: must be a list, but is empty",
      "HEXKIT_EVENTS_RATIO: must be a number, but is empty",
      "HEXKIT_EVENTS_TLS: must be true or false, but is empty",
    ]);
  });

  it("refuses empty elements, wrong elements and broken JSON in a list", () => {
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_BROKERS: "a,,b" }), [
      "HEXKIT_EVENTS_BROKERS: must be a list separated by commas, without empty elements",
    ]);
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_PORTS: "1,x" }), [
      "HEXKIT_EVENTS_PORTS: must be a list separated by commas, each a whole number",
    ]);
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_PORTS: "[1" }), [
      "HEXKIT_EVENTS_PORTS: must be a list (not valid JSON: the text ends too early)",
    ]);
  });

  it("reaches into nested options and merges them with the file's", () => {
    const merged = options(onKafka({ sasl: { mechanism: "scram", password: "file" } }), { HEXKIT_EVENTS_SASL_PASSWORD: "env" });
    assert.deepEqual((merged as { sasl: object }).sasl, { mechanism: "scram", password: "env" });
  });

  it("lets the variable of one key win over the variable of the whole object", () => {
    const env = { HEXKIT_EVENTS_SASL: '{"mechanism":"scram","password":"whole"}', HEXKIT_EVENTS_SASL_PASSWORD: "one" };
    assert.deepEqual(optionsOf(env).sasl, { mechanism: "scram", password: "one" });
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_SASL: '{"mechanism":"x","password":"p"}' }), [
      'HEXKIT_EVENTS_SASL: /mechanism: must be one of "plain", "scram"',
    ]);
  });

  it("takes `$env` literally in a variable", () => {
    assert.match(wrong(onKafka(), { HEXKIT_EVENTS_LABELS: '{"$env":"HOME"}', HOME: "/root" }).join(), /^$/);
    assert.deepEqual(optionsOf({ HEXKIT_EVENTS_LABELS: '{"$env":"HOME"}' }).labels, { $env: "HOME" });
  });

  it("sets service, log and lifecycle", () => {
    const env = {
      HEXKIT_SERVICE_NAME: "calc",
      HEXKIT_SERVICE_INSTANCE: "007",
      HEXKIT_LOG_LEVEL: "debug",
      HEXKIT_LIFECYCLE_CONNECT_TIMEOUT_MS: "1",
      HEXKIT_LIFECYCLE_CLOSE_TIMEOUT_MS: "2",
    };
    const { service, log, lifecycle } = valid(resolved({}, env));
    assert.deepEqual(
      { service, log, lifecycle },
      {
        service: { name: "calc", instance: "007" },
        log: { level: "debug" },
        lifecycle: { connectTimeoutMs: 1, closeTimeoutMs: 2 },
      },
    );
    assert.deepEqual(wrong({}, { HEXKIT_LOG_LEVEL: "inof" }), [
      'HEXKIT_LOG_LEVEL: must be one of "trace", "debug", "info", "warn", "error", "fatal", "silent"',
    ]);
  });
});

describe("binding by the environment", () => {
  it("rebinds a protocol and keeps the entry's settings", () => {
    const config = { ...onKafka(), service: { name: "s" }, protocols: { eventSubscriber: { provider: "events", concurrency: 3 } } };
    const { bindings, providers } = valid(
      resolved(config, { HEXKIT_EVENT_SUBSCRIBER: "memory", HEXKIT_EVENT_SUBSCRIBER_MAX_RETRIES: "2" }),
    );
    assert.deepEqual(bindings, [
      {
        binding: "eventSubscriber",
        protocol: "eventSubscriber",
        provider: "memory",
        settings: { concurrency: 3, maxRetries: 2, deadLetter: false },
      },
    ]);
    assert.deepEqual(providers, [{ name: "memory", plugin: "memory", options: { partitions: 3 } }]);
  });

  it("binds without any file, and configures the provider that this implies", () => {
    const { providers } = valid(resolved({}, { HEXKIT_EVENT_PUBLISHER: "kafka", HEXKIT_KAFKA_BROKERS: "a" }));
    assert.deepEqual(providers, [{ name: "kafka", plugin: "kafka", options: { brokers: ["a"], tls: false, clientId: "hexkit" } }]);
  });

  it("gives named bindings and their settings variables with doubled underscores", () => {
    const env = { HEXKIT_OBJECT_STORAGE__COLD_ARCHIVE: "minio", HEXKIT_OBJECT_STORAGE__COLD_ARCHIVE__PART_SIZE_BYTES: "5" };
    assert.deepEqual(valid(resolved({}, env)).bindings, [
      { binding: "objectStorage:coldArchive", protocol: "objectStorage", provider: "minio", settings: { partSizeBytes: 5 } },
    ]);
    const file = { protocols: { "objectStorage:archive": { provider: "minio", partSizeBytes: 3 } } };
    assert.deepEqual(valid(resolved(file, { HEXKIT_OBJECT_STORAGE__ARCHIVE__PART_SIZE_BYTES: "4" })).bindings[0]?.settings, {
      partSizeBytes: 4,
    });
  });

  it("refuses a setting of a named binding that nothing makes", () => {
    assert.deepEqual(wrong({ protocols: { "objectStorage:archive": "minio" } }, { HEXKIT_OBJECT_STORAGE__ARCHIV__PART_SIZE_BYTES: "4" }), [
      "HEXKIT_OBJECT_STORAGE__ARCHIV__PART_SIZE_BYTES: unknown; did you mean HEXKIT_OBJECT_STORAGE__ARCHIVE__PART_SIZE_BYTES?",
    ]);
  });

  it("refuses an empty provider", () => {
    assert.match(wrong({}, { HEXKIT_DAO: "" }).join(), /^HEXKIT_DAO: unknown provider or plugin "" \(empty\)/);
  });
});

describe("being strict about variables", () => {
  it("refuses an unknown variable with the nearest known one", () => {
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_BROKER: "a" }), [
      "HEXKIT_EVENTS_BROKER: unknown; did you mean HEXKIT_EVENTS_BROKERS?",
    ]);
    assert.deepEqual(wrong(onMemory, { HEXKIT_QUITE_SOMETHING_ELSE: "a" }), [
      "HEXKIT_QUITE_SOMETHING_ELSE: unknown: no section, protocol or bound provider has it",
    ]);
    assert.deepEqual(wrong(onMemory, { HEXKIT_OUTBOX_RELAY_INTERVALL_MS: "1" }), [
      "HEXKIT_OUTBOX_RELAY_INTERVALL_MS: unknown; did you mean HEXKIT_OUTBOX_RELAY_INTERVAL_MS?",
    ]);
  });

  it("is strict about a built-in plugin's name once a provider bears it", () => {
    assert.deepEqual(wrong({}, { HEXKIT_EVENT_PUBLISHER: "memory", HEXKIT_MEMORY_SPACES: "a" }), [
      "HEXKIT_MEMORY_SPACES: unknown; did you mean HEXKIT_MEMORY_SPACE?",
    ]);
  });

  it("accepts and lists as unused what belongs to a declared but unbound provider, or to a built-in plugin", () => {
    const config = {
      providers: { idle: { plugin: "minio", options: { endpoint: "http://x", secretAccessKey: "file-secret", nonsense: 1 } } },
    };
    const { problems, values } = resolved(config, { HEXKIT_IDLE_ENDPOINT: "http://y", HEXKIT_KAFKA_SASL_PASSWORD: "env-secret" });
    assert.deepEqual(problems, []);
    const unused = values.filter(({ unused }) => unused).map(({ pointer, value, origin }) => [pointer, value, origin]);
    assert.deepEqual(unused, [
      ["/providers/idle/plugin", "minio", "file config#/providers/idle/plugin"],
      ["/providers/idle/options/endpoint", "http://x", "file config#/providers/idle/options/endpoint"],
      ["/providers/idle/options/secretAccessKey", "[secret]", "file config#/providers/idle/options/secretAccessKey"],
      ["/providers/idle/options/nonsense", "[secret]", "file config#/providers/idle/options/nonsense"],
      ["/providers/idle/options/endpoint", "[secret]", "environment HEXKIT_IDLE_ENDPOINT"],
      ["/providers/kafka/options/saslPassword", "[secret]", "environment HEXKIT_KAFKA_SASL_PASSWORD"],
    ]);
  });

  it("gives a variable to the longest name that it begins with", () => {
    const providers = { ...onKafka().providers, eventsCold: { plugin: "minio" } };
    const { problems, values } = resolved({ ...onKafka(), providers }, { HEXKIT_EVENTS_COLD_ENDPOINT: "http://x" });
    assert.deepEqual(problems, []);
    assert.ok(values.some(({ pointer, unused }) => pointer === "/providers/eventsCold/options/endpoint" && unused));
  });

  it("accepts settings of an unbound protocol as unused", () => {
    const { problems, values } = resolved({}, { HEXKIT_EVENT_SUBSCRIBER_CONCURRENCY: "3" });
    assert.deepEqual(problems, []);
    assert.deepEqual(
      values.filter(({ unused }) => unused).map(({ pointer, value }) => [pointer, value]),
      [["/protocols/eventSubscriber/concurrency", 3]],
    );
  });

  it("ignores HEXKIT_TEST_ variables and reserves HEXKIT_CONFIG", () => {
    assert.deepEqual(wrong(onMemory, { HEXKIT_TEST_ANYTHING: "x", HEXKIT_CONFIG: "gone.json" }), []);
    const testBus = { ...vocabulary, protocols: { ...vocabulary.protocols, testBus: known(vocabulary.protocols.dao) } };
    assert.match(wrong({}, {}, testBus).join(), /^HEXKIT_TEST_BUS: is reserved, but would set the provider of testBus/);
  });

  it("skips the variables of Kubernetes, unless they are in the table", () => {
    const links = {
      HEXKIT_SERVICE_HOST: "10.0.0.1",
      HEXKIT_SERVICE_PORT: "80",
      HEXKIT_PORT: "tcp://10.0.0.1:80",
      HEXKIT_PORT_80_TCP: "tcp://10.0.0.1:80",
      HEXKIT_EVENTS_SERVICE_HOST: "10.0.0.1",
      HEXKIT_EVENTS_SERVICE_PORT_HTTP: "80",
      HEXKIT_EVENTS_PORT: "tcp://10.0.0.1:80",
      HEXKIT_EVENTS_PORT_80_TCP_ADDR: "10.0.0.1",
      HEXKIT_EVENTS_PORT_80_TCP_PORT: "80",
      HEXKIT_EVENTS_PORT_80_TCP_PROTO: "tcp",
    };
    const { problems, values } = resolved(onKafka(), links);
    assert.deepEqual([problems, values.filter(({ unused }) => unused)], [[], []]);
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_PORT: "80" }).length, 1);
    const port = withOptions({ port: { type: "string" } });
    const config = { providers: { events: { plugin: "kafka" } }, protocols: { eventPublisher: "events" } };
    assert.deepEqual(valid(resolved(config, { HEXKIT_EVENTS_PORT: "tcp://a" }, port)).providers[0]?.options, { port: "tcp://a" });
  });

  it("does not take a variable that `$env` names for unknown", () => {
    assert.equal((options(onKafka({ url: { $env: "HEXKIT_SHARED_URL" } }), { HEXKIT_SHARED_URL: "u" }) as { url: string }).url, "u");
  });

  it("refuses two settings that would share a variable, naming both", () => {
    const words = withOptions({ saslPassword: { type: "string" }, sasl: { type: "object", properties: { password: { type: "string" } } } });
    assert.deepEqual(wrong({ protocols: { eventPublisher: "kafka" } }, {}, words), [
      'HEXKIT_KAFKA_SASL_PASSWORD: would set both option "saslPassword" of provider "kafka" and option "sasl.password" of provider "kafka": rename one of them',
    ]);
    const config = { providers: { event: { plugin: "kafka" } }, protocols: { eventPublisher: "event" } };
    assert.deepEqual(wrong(config, {}, withOptions({ subscriberGroup: { type: "string" } })), [
      'HEXKIT_EVENT_SUBSCRIBER_GROUP: would set both setting "group" of eventSubscriber and option "subscriberGroup" of provider "event": rename one of them',
    ]);
  });

  it("gives every value the variable that would set it", () => {
    const variables = Object.fromEntries(
      resolved(onKafka({ sasl: { password: "p" } })).values.map(({ pointer, variable }) => [pointer, variable]),
    );
    assert.equal(variables["/providers/events/options/sasl/password"], "HEXKIT_EVENTS_SASL_PASSWORD");
    assert.equal(variables["/protocols/eventPublisher/provider"], "HEXKIT_EVENT_PUBLISHER");
    assert.equal(variables["/service/name"], "HEXKIT_SERVICE_NAME");
    assert.equal(variables["/providers/events/plugin"], undefined);
  });
});
