import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Ajv } from "ajv";
import formats from "ajv-formats";
import { configSchema } from "../../config/index.ts";
import { onKafka, vocabulary } from "./fixture.ts";

const ajv = new Ajv({ strict: false });
formats.default(ajv);
const validate = ajv.compile(configSchema(vocabulary));

describe("the schema for editors", () => {
  it("accepts what the reader accepts", () => {
    const accepted = [
      {},
      { $schema: "x", service: { name: "s", instance: { $env: "POD" } }, log: { level: "debug" }, lifecycle: { closeTimeoutMs: 5 } },
      onKafka({
        token: { $file: "/run/x" },
        brokers: { $env: "B" },
        sasl: { mechanism: "plain", password: { $env: "P" } },
        ports: [1, { $env: "P" }],
      }),
      {
        providers: {
          own: { plugin: "./own.js", options: { anything: 1 } },
          far: { plugin: "hexkit-plugin-far" },
          events: { plugin: "kafka" },
        },
      },
      { protocols: { dao: "memory", "dao:orders": { provider: "memory" }, eventSubscriber: { maxRetries: 1, deadLetter: "topic" } } },
      { protocols: { outbox: { dao: "dao:orders", relayIntervalMs: 1 }, "outbox:orders": {} } },
      { providers: { queue: { plugin: "@acme/hexkit-plugin-nats", options: { url: "u" } } } },
    ];
    for (const config of accepted) assert.ok(validate(config), JSON.stringify([config, validate.errors]));
  });

  it("refuses what the reader refuses", () => {
    const refused = [
      { servcie: {} },
      { log: { level: "loud" } },
      onKafka({ borkers: [] }),
      onKafka({ brokers: "a" }),
      onKafka({ token: { $env: "A", $file: "b" } }),
      onKafka({ sasl: { pasword: "x" } }),
      { providers: { a: { plugin: "kafak" } } },
      { providers: { dao: { plugin: "kafka" } } },
      { providers: { log: { plugin: "kafka" } } },
      { providers: { a: { options: {} } } },
      { providers: { queue: { plugin: "@acme/hexkit-plugin-nats", options: { uri: "u" } } } },
      { protocols: { dso: "memory" } },
      { protocols: { "dao:my-orders": "memory" } },
      { protocols: { eventSubscriber: { provider: "memory", maxRetry: 1 } } },
      { protocols: { outbox: "memory" } },
    ];
    for (const config of refused) assert.ok(!validate(config), JSON.stringify(config));
  });

  it("carries descriptions and defaults to where editors look for them", () => {
    const schema = configSchema(vocabulary) as { definitions: Record<string, { properties: Record<string, object> }> };
    const clientId = schema.definitions["options.kafka"]?.properties.clientId as Record<string, unknown>;
    assert.deepEqual([clientId.description, clientId.default], ["Name.", "hexkit"]);
  });

  it("is valid draft-07, and the same whatever the order of the vocabulary", () => {
    const reversed = (object: object) => Object.fromEntries(Object.entries(object).reverse());
    const other = {
      builtinPlugins: [...vocabulary.builtinPlugins].reverse(),
      plugins: reversed(vocabulary.plugins),
      protocols: reversed(vocabulary.protocols),
    };
    assert.ok(ajv.validateSchema(configSchema(vocabulary)));
    assert.equal(JSON.stringify(configSchema(other)), JSON.stringify(configSchema(vocabulary)));
  });
});
