import { definePlugin } from "../../core/index.ts";
import { connect } from "./client.ts";
import { classifyMinioError } from "./errors.ts";
import { MinioStorageDriver } from "./object-storage.ts";
import { minioOptions } from "./options.ts";

export const plugin = definePlugin({
  name: "minio",
  apiVersion: 1,
  summary: "MinIO and other S3 servers, by MinIO's client",
  options: minioOptions,
  package: { name: "minio", range: "~8.0.7" },
  open: (options) => connect(options),
  close: (client) => client.close(),
  check: (client, signal) => client.ping(signal),
  classify: classifyMinioError,
  provides: { objectStorage: (client) => new MinioStorageDriver(client) },
});
