import { after, before, describe, it } from "node:test";
import { capabilityTitle } from "./capabilities.ts";
import { DaoBench, type DaoSubject, type DaoTest } from "./dao-bench.ts";
import { testDriver } from "./dao-driver.ts";
import { testFinding } from "./dao-finding.ts";
import { testFormats } from "./dao-formats.ts";
import { testRefusals } from "./dao-refusals.ts";
import { testTransactions } from "./dao-transactions.ts";
import { testWriting } from "./dao-writing.ts";
import { testTimeoutMs } from "./event-broker.ts";

/** What every `dao` owes: contract sections 2.4, 3.9 and 7, and what goes beyond them. */
export function testDao(subject: DaoSubject): void {
  describe(`dao: ${subject.name}`, { skip: subject.skip ?? false }, () => {
    let bench: DaoBench;
    before(async () => {
      bench = new DaoBench(subject, await subject.open());
    });
    after(() => bench?.database.close());
    const test: DaoTest = (name, work, about = {}) => {
      const title = capabilityTitle(name, subject.expects, about);
      if (title !== undefined) it(title, { timeout: testTimeoutMs }, () => work(bench));
    };
    describe("writing", () => testWriting(test, subject));
    describe("finding", () => testFinding(test));
    describe("what is stored", () => testFormats(test));
    describe("what is refused", () => testRefusals(test, subject));
    describe("transactions", () => testTransactions(test));
    describe("the driver", () => testDriver(test, subject));
  });
}
