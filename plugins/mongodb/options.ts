import type { OptionsOf, OptionsSchema } from "../../core/index.ts";

export const mongodbOptions = {
  type: "object",
  additionalProperties: false,
  required: ["dsn", "database"],
  properties: {
    dsn: {
      type: "string",
      minLength: 1,
      writeOnly: true,
      description:
        "Connection string, `mongodb://…` or `mongodb+srv://…`. TLS, credentials, write concern and whatever else is not listed here go in it.",
    },
    database: {
      type: "string",
      minLength: 1,
      maxLength: 63,
      pattern: '^[^/\\\\. "$*<>:|?]+$',
      description: "Name of the database.",
    },
    connectTimeoutMs: {
      type: "integer",
      minimum: 1,
      default: 5_000,
      description: "Milliseconds to wait for one connection, and for a server when opening.",
    },
    serverSelectionTimeoutMs: {
      type: "integer",
      minimum: 1,
      default: 20_000,
      description: "Milliseconds that a call waits for a server that can take it, such as the next primary.",
    },
    socketTimeoutMs: {
      type: "integer",
      minimum: 0,
      default: 0,
      description:
        "Milliseconds without a byte after which a connection in use is given up. 0: never; calls end by the setting `timeoutMs` in any case.",
    },
    waitQueueTimeoutMs: {
      type: "integer",
      minimum: 0,
      default: 10_000,
      description: "Milliseconds that a call waits for a free connection. 0: without end.",
    },
    maxPoolSize: {
      type: "integer",
      minimum: 1,
      default: 100,
      description: "Connections to one server. Each transaction and each watched collection takes one while it is busy.",
    },
    minPoolSize: { type: "integer", minimum: 0, default: 0, description: "Connections that are kept open even when idle." },
    appName: {
      type: "string",
      minLength: 1,
      maxLength: 128,
      description: "Name under which the server lists the connections. Default: the service's name and instance.",
    },
  },
} as const satisfies OptionsSchema;

export type MongodbOptions = OptionsOf<typeof mongodbOptions>;
