import { definePlugin } from "../../core/index.ts";
import { connect, ping, sdkPackage } from "./client.ts";
import { classifyS3Error } from "./errors.ts";
import { S3StorageDriver } from "./object-storage.ts";
import { s3Options } from "./options.ts";

export const plugin = definePlugin({
  name: "s3",
  apiVersion: 1,
  summary: "Amazon S3 and servers like it, by the AWS SDK",
  options: s3Options,
  package: sdkPackage,
  open: (options, context) => connect(options, context),
  close: (client) => client.close(),
  check: (client, signal) => ping(client, signal),
  classify: classifyS3Error,
  provides: { objectStorage: (client) => new S3StorageDriver(client) },
});
