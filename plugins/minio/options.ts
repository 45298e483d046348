import { type OptionsOf, type OptionsSchema, socketOptions } from "../../core/index.ts";

export const minioOptions = {
  type: "object",
  additionalProperties: false,
  required: ["endpoint", "accessKeyId", "secretAccessKey"],
  properties: {
    endpoint: {
      type: "string",
      pattern: "^https?://[^/?#@]+/?$",
      description: "Address of the server, without a path, such as `http://localhost:9000`.",
    },
    publicEndpoint: {
      type: "string",
      pattern: "^https?://[^/?#@]+/?$",
      description: "Address that links are signed for, where clients reach the server by another one than this service.",
    },
    region: { type: "string", minLength: 1, default: "us-east-1", description: "Region of the buckets." },
    pathStyle: { type: "boolean", default: true, description: "Whether buckets are part of the path instead of the host name." },
    accessKeyId: { type: "string", minLength: 1, description: "Access key." },
    secretAccessKey: { type: "string", minLength: 1, writeOnly: true, description: "Secret of `accessKeyId`." },
    sessionToken: { type: "string", minLength: 1, writeOnly: true, description: "Token of temporary credentials." },
    conditionalWrites: {
      type: "boolean",
      default: true,
      description: "Whether the server honours `If-None-Match: *`, which `ifAbsent` needs. False refuses `ifAbsent`.",
    },
    postForms: {
      type: "boolean",
      default: true,
      description: "Whether the server takes uploads by POST forms. False refuses `presignUpload`.",
    },
    partCopy: {
      type: "boolean",
      default: true,
      description: "Whether the server copies into parts of an upload. False refuses copies of objects above 5 GiB.",
    },
    ...socketOptions,
  },
} as const satisfies OptionsSchema;

export type MinioOptions = OptionsOf<typeof minioOptions>;
