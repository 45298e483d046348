import { definePlugin } from "hexkit";
import { connect } from "./client.ts";
import { classifyNatsError } from "./errors.ts";
import { NatsPublisherDriver } from "./event-publisher.ts";
import { NatsSubscriberDriver } from "./event-subscriber.ts";
import { natsOptions } from "./options.ts";

export default definePlugin({
  name: "nats",
  apiVersion: 1,
  summary: "NATS 2.10 or later with JetStream",
  options: natsOptions,
  open: connect,
  close: (client) => client.close(),
  check: (client, signal) => client.ping(signal),
  classify: classifyNatsError,
  provides: {
    eventPublisher: (client) => new NatsPublisherDriver(client),
    eventSubscriber: (client, context) => new NatsSubscriberDriver(client, context),
  },
});
