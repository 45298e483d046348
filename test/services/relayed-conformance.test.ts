import { plugin as events } from "../../plugins/kafka/index.ts";
import { plugin as dao } from "../../plugins/mongodb/index.ts";
import { testOutbox, testPersistentPublisher } from "../../testkit/conformance/index.ts";
import { openEventBroker } from "./kafka.ts";
import { openMongodbDatabase } from "./mongodb.ts";

const subject = {
  name: "mongodb and kafka",
  plugins: { dao, events },
  open: async () => ({ database: await openMongodbDatabase(), broker: await openEventBroker() }),
};

testOutbox(subject);
testPersistentPublisher(subject);
