import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { type Problem, type Resolution, readSources, resolveConfig, type Vocabulary } from "../../config/index.ts";

const settings = (properties: Vocabulary["protocols"][string]["settings"]["properties"]) =>
  ({ type: "object", additionalProperties: false, properties }) as const;

/** A small world: two brokers, two stores, a composed protocol over two of its protocols. */
export const vocabulary: Vocabulary = {
  builtinPlugins: ["kafka", "memory", "minio"],
  plugins: {
    kafka: {
      name: "kafka",
      provides: ["eventPublisher", "eventSubscriber"],
      options: {
        type: "object",
        additionalProperties: false,
        required: ["brokers"],
        properties: {
          brokers: { type: "array", minItems: 1, items: { type: "string" }, description: "Servers." },
          ports: { type: "array", items: { type: "integer" } },
          acks: { type: ["integer", "null"], enum: [0, 1, null] },
          tls: { type: "boolean", default: false },
          ratio: { type: "number", minimum: 0 },
          level: { enum: ["low", "high"] },
          clientId: { type: "string", default: "hexkit", description: "Name." },
          url: { type: "string" },
          token: { type: "string", writeOnly: true },
          pin: { type: "integer", writeOnly: true },
          sasl: {
            type: "object",
            additionalProperties: false,
            required: ["password"],
            properties: {
              mechanism: { type: "string", enum: ["plain", "scram"], default: "plain" },
              password: { type: "string", writeOnly: true },
            },
            "x-house": "unknown keywords are no problem",
          },
          labels: { type: "object", additionalProperties: { type: "string" } },
        },
      },
    },
    memory: {
      name: "memory",
      provides: ["eventPublisher", "eventSubscriber", "dao"],
      options: settings({ space: { type: "string", minLength: 1 }, partitions: { type: "integer", default: 3 } }),
    },
    minio: {
      name: "minio",
      provides: ["objectStorage"],
      options: settings({ endpoint: { type: "string", format: "uri" }, secretAccessKey: { type: "string", writeOnly: true } }),
    },
    "@acme/hexkit-plugin-nats": { name: "nats", provides: ["eventPublisher"], options: settings({ url: { type: "string" } }) },
  },
  protocols: {
    eventPublisher: { settings: settings({ deliveryTimeoutMs: { type: "integer", minimum: 1, default: 1000 } }) },
    eventSubscriber: {
      needsServiceName: true,
      settings: settings({
        concurrency: { type: "integer", minimum: 1, default: 16 },
        maxRetries: { type: "integer", default: 0 },
        deadLetter: { type: ["boolean", "string"], default: false },
        group: { type: "string" },
      }),
    },
    objectStorage: { settings: settings({ partSizeBytes: { type: "integer", default: 8 } }) },
    dao: { settings: settings({}) },
    outbox: {
      settings: settings({ relayIntervalMs: { type: "integer", default: 500 } }),
      composes: { dao: "dao", eventPublisher: "eventPublisher" },
    },
    twice: { settings: { ...settings({ size: { type: "integer" } }), required: ["size"] }, composes: { outbox: "outbox" } },
    wrapper: { settings: settings({}), composes: { outbox: "outbox", other: "wrapper" } },
  },
};

export const onMemory = { protocols: { eventPublisher: "memory" } };
export const onKafka = (options: object = {}, protocols: object = { eventPublisher: "events" }) => ({
  providers: { events: { plugin: "kafka", options: { brokers: ["a:1"], ...options } } },
  protocols,
});

/** Both passes over a configuration given as an object. */
export function resolved(config: object, env: Record<string, string> = {}, words: Vocabulary = vocabulary): Resolution {
  return resolveConfig(readSources({ config, env, cwd: tmpdir() }), words);
}

/** A thing that the fixture has. */
export function known<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("not in the fixture");
  return value;
}

/** The valid configuration, or a failure that shows the problems. */
export function valid(resolution: Resolution): NonNullable<Resolution["config"]> {
  if (resolution.config === undefined) throw new Error(lines(resolution.problems).join("\n"));
  return resolution.config;
}

export const lines = (problems: readonly Problem[]): string[] => problems.map(({ place, message }) => `${place}: ${message}`);

/** What is wrong with a configuration, one line each. */
export const wrong = (config: object, env: Record<string, string> = {}, words: Vocabulary = vocabulary): string[] =>
  lines(resolved(config, env, words).problems);

/** The options of the first bound provider. */
export const options = (config: object, env: Record<string, string> = {}): unknown => valid(resolved(config, env)).providers[0]?.options;

/** A vocabulary whose plugin kafka has these options. */
export function withOptions(properties: Vocabulary["plugins"][string]["options"]["properties"]): Vocabulary {
  return {
    ...vocabulary,
    plugins: { ...vocabulary.plugins, kafka: { name: "kafka", provides: ["eventPublisher"], options: settings(properties) } },
  };
}

/** A new folder with these files, removed after the test file. */
export async function folderWith(files: Record<string, string | object>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "hexkit-config-"));
  after(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return folder;
}
