import type { OptionsOf, OptionsSchema } from "hexkit";

export const natsOptions = {
  type: "object",
  additionalProperties: false,
  required: ["servers"],
  properties: {
    servers: {
      type: "array",
      minItems: 1,
      items: { type: "string", pattern: "^(nats://)?(\\[[^\\]@]+\\]|[^:\\[\\]/@]+)(:[0-9]{1,5})?$" },
      description: "Servers of one cluster, each `host:port` or `nats://host:port`. The rest of the cluster is learnt from them.",
    },
    user: { type: "string", minLength: 1, description: "User name." },
    password: { type: "string", writeOnly: true, description: "Password of the user." },
    token: { type: "string", minLength: 1, writeOnly: true, description: "Token, where the server asks for one instead of a user." },
    tls: {
      type: "object",
      additionalProperties: false,
      properties: {
        enabled: { type: "boolean", default: true, description: "Whether connections are encrypted. True as soon as any of `tls` is set." },
        ca: { type: "string", minLength: 1, description: "Certificates to trust, as PEM text. Default: those of Node.js." },
        cert: { type: "string", minLength: 1, description: "Client certificate as PEM text, for servers that demand one." },
        key: { type: "string", minLength: 1, writeOnly: true, description: "Private key of the client certificate, as PEM text." },
      },
      description: "Encryption and certificates.",
    },
    prefix: {
      type: "string",
      pattern: "^[A-Za-z0-9_-]+$",
      default: "hexkit",
      description: "First part of the names of all streams and subjects. Services that exchange events share it.",
    },
    autoCreateTopics: { type: "boolean", default: true, description: "Whether the stream of a missing topic is made." },
    partitions: { type: "integer", minimum: 1, maximum: 256, default: 8, description: "Partitions of topics that are made here." },
    replicas: {
      type: "integer",
      minimum: 1,
      maximum: 5,
      default: 1,
      description: "Servers that store each stream that is made here: 3 to survive the loss of one.",
    },
    connectTimeoutMs: { type: "integer", minimum: 1, default: 5_000, description: "Milliseconds to wait for one connection." },
    requestTimeoutMs: { type: "integer", minimum: 1, default: 5_000, description: "Milliseconds to wait for the answer to one request." },
    sessionTimeoutMs: {
      type: "integer",
      minimum: 1_000,
      default: 30_000,
      description: "Milliseconds without a sign of life after which a member's partitions go to others.",
    },
    heartbeatIntervalMs: {
      type: "integer",
      minimum: 100,
      default: 2_000,
      description: "Milliseconds between a member's signs of life. At most a third of `sessionTimeoutMs`.",
    },
  },
} as const satisfies OptionsSchema;

export type NatsOptions = OptionsOf<typeof natsOptions>;
