import { definePlugin } from "../../core/index.ts";
import { connect } from "./connect.ts";
import { classifyKafkaError } from "./errors.ts";
import { KafkaPublisherDriver } from "./event-publisher.ts";
import { KafkaSubscriberDriver } from "./event-subscriber.ts";
import { kafkaOptions } from "./options.ts";

export const plugin = definePlugin({
  name: "kafka",
  apiVersion: 1,
  summary: "Apache Kafka 2.8 or later",
  options: kafkaOptions,
  package: { name: "kafkajs", range: "~2.2.4" },
  open: (options, context) => connect(options, context),
  close: (client) => client.close(),
  check: (client, signal) => client.ping(signal),
  classify: classifyKafkaError,
  provides: {
    eventPublisher: (client, context) => new KafkaPublisherDriver(client, context),
    eventSubscriber: (client, context) => new KafkaSubscriberDriver(client, context),
  },
});
