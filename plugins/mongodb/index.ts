import { definePlugin } from "../../core/index.ts";
import { connect } from "./client.ts";
import { MongodbDaoDriver } from "./dao.ts";
import { classifyMongodbError } from "./errors.ts";
import { MongodbMigrationsDriver } from "./migrations.ts";
import { mongodbOptions } from "./options.ts";

export const plugin = definePlugin({
  name: "mongodb",
  apiVersion: 1,
  summary: "MongoDB 4.4 or later",
  options: mongodbOptions,
  package: { name: "mongodb", range: "~7.9.0" },
  open: (options, context) => connect(options, context),
  close: (client) => client.close(),
  check: (client, signal) => client.ping(signal),
  classify: classifyMongodbError,
  provides: {
    dao: (client) => new MongodbDaoDriver(client),
    migrations: (client) => new MongodbMigrationsDriver(client),
  },
});
