import type { OptionsOf, OptionsSchema } from "../../core/index.ts";

export const kafkaOptions = {
  type: "object",
  additionalProperties: false,
  required: ["brokers"],
  properties: {
    brokers: {
      type: "array",
      minItems: 1,
      items: { type: "string", pattern: "^(\\[[^\\]]+\\]|[^:\\[\\]/]+):[0-9]{1,5}$" },
      description: "Bootstrap servers, each `host:port`. The rest of the cluster is learnt from them.",
    },
    tls: {
      type: "object",
      additionalProperties: false,
      properties: {
        enabled: { type: "boolean", default: true, description: "Whether connections are encrypted. True as soon as any of `tls` is set." },
        ca: {
          type: "string",
          minLength: 1,
          description: "Certificates to trust, as PEM text (`$file` reads one). Default: those of Node.js.",
        },
        cert: { type: "string", minLength: 1, description: "Client certificate as PEM text, for brokers that demand one." },
        key: { type: "string", minLength: 1, writeOnly: true, description: "Private key of the client certificate, as PEM text." },
        keyPassphrase: { type: "string", writeOnly: true, description: "Passphrase of the private key, if it is encrypted." },
        serverName: { type: "string", minLength: 1, description: "Name that the brokers' certificates must bear. Default: the host." },
      },
      description: "Encryption and certificates.",
    },
    sasl: {
      type: "object",
      additionalProperties: false,
      required: ["mechanism", "username", "password"],
      properties: {
        mechanism: { type: "string", enum: ["plain", "scram-sha-256", "scram-sha-512"], description: "How the password is proved." },
        username: { type: "string", minLength: 1, description: "SASL user." },
        password: { type: "string", writeOnly: true, description: "SASL password." },
      },
      description: "Authentication by user and password.",
    },
    compression: {
      type: "string",
      enum: ["none", "gzip", "snappy", "lz4", "zstd"],
      default: "none",
      description: "How batches of published events are compressed. snappy, lz4 and zstd may need a package: see the README.",
    },
    maxMessageBytes: {
      type: "integer",
      minimum: 1,
      default: 1_048_576,
      description: "Largest key plus value of a published event, in bytes before compression; also what is fetched of a partition at once.",
    },
    autoCreateTopics: {
      type: "boolean",
      default: true,
      description: "Whether a missing topic is asked for in a way that lets the broker create it, if its own settings allow.",
    },
    connectTimeoutMs: { type: "integer", minimum: 1, default: 5_000, description: "Milliseconds to wait for one connection." },
    requestTimeoutMs: { type: "integer", minimum: 1, default: 30_000, description: "Milliseconds to wait for the answer to one request." },
    sessionTimeoutMs: {
      type: "integer",
      minimum: 1_000,
      default: 30_000,
      description: "Milliseconds without a heartbeat after which the broker gives a member's partitions to others.",
    },
    heartbeatIntervalMs: {
      type: "integer",
      minimum: 100,
      default: 3_000,
      description: "Milliseconds between heartbeats, and until a member learns of a rebalance. At most a third of `sessionTimeoutMs`.",
    },
    rebalanceTimeoutMs: {
      type: "integer",
      minimum: 1_000,
      default: 60_000,
      description: "Milliseconds that members get to finish their events in a rebalance. More than the subscriptions' `drainTimeoutMs`.",
    },
  },
} as const satisfies OptionsSchema;

export type KafkaOptions = OptionsOf<typeof kafkaOptions>;
