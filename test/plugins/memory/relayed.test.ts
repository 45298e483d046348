// #region relayed

import { plugin } from "../../../plugins/memory/index.ts";
import { testOutbox, testPersistentPublisher } from "../../../testkit/conformance/index.ts";
import { openBroker } from "./broker-subject.ts";
import { openDatabase } from "./database-subject.ts";

const subject = {
  name: "memory",
  plugins: { dao: plugin, events: plugin },
  open: async () => ({ database: await openDatabase(), broker: await openBroker() }),
};

testOutbox(subject);
testPersistentPublisher(subject);
// #endregion
