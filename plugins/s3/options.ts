import { type OptionsOf, type OptionsSchema, socketOptions } from "../../core/index.ts";

export const s3Options = {
  type: "object",
  additionalProperties: false,
  properties: {
    endpoint: {
      type: "string",
      pattern: "^https?://[^/?#]+(/[^?#]*)?$",
      description: "Address of a server that is not Amazon's, such as `https://s3.example.org`.",
    },
    publicEndpoint: {
      type: "string",
      pattern: "^https?://[^/?#]+(/[^?#]*)?$",
      description: "Address that links are signed for, where clients reach the server by another one than this service.",
    },
    region: {
      type: "string",
      minLength: 1,
      description: "Region of the buckets. Default: `us-east-1` with an `endpoint`, else what the SDK finds (`AWS_REGION`, profile).",
    },
    pathStyle: {
      type: "boolean",
      description: "Whether buckets are part of the path instead of the host name. Default: true with an `endpoint`.",
    },
    accessKeyId: {
      type: "string",
      minLength: 1,
      description: "Access key. Without it the SDK's default chain is used: environment, profile, web identity, container, instance.",
    },
    secretAccessKey: { type: "string", minLength: 1, writeOnly: true, description: "Secret of `accessKeyId`." },
    sessionToken: { type: "string", minLength: 1, writeOnly: true, description: "Token of temporary credentials." },
    checksums: {
      type: "string",
      enum: ["WHEN_REQUIRED", "WHEN_SUPPORTED"],
      description:
        "Whether requests carry checksums, and answers are checked, also where it is optional. Default: `WHEN_REQUIRED` with an `endpoint`, since many servers refuse the others.",
    },
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
    tenants: {
      type: "boolean",
      default: false,
      description: "Whether bucket names may be `tenant:bucket` (Ceph). Needs `pathStyle`.",
    },
    ...socketOptions,
  },
} as const satisfies OptionsSchema;

export type S3Options = OptionsOf<typeof s3Options>;
