import { plugin } from "../../plugins/mongodb/index.ts";
import { testDao } from "../../testkit/conformance/index.ts";
import { openMongodbDatabase } from "./mongodb.ts";

testDao({
  name: "mongodb",
  plugin,
  expects: { transactions: true, watch: true, leases: true, maxDocumentBytes: 16 * 2 ** 20 },
  open: openMongodbDatabase,
});
