// #region dao

import { plugin } from "../../../plugins/memory/index.ts";
import { testDao } from "../../../testkit/conformance/index.ts";
import { maxDocumentBytes, openDatabase } from "./database-subject.ts";

testDao({ name: "memory", plugin, expects: { transactions: true, watch: true, leases: true, maxDocumentBytes }, open: openDatabase });
// #endregion
