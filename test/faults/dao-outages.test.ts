import { test } from "node:test";
import { transactionsOverOutages } from "./dao-outages.ts";

test("R22 full: MongoDB is killed twenty times during transactions: none is half committed or lost, deadlines hold", async () => {
  const figures = await transactionsOverOutages({ workers: 16, kills: 20, between: 200 });
  console.log(`figures R22 full: ${JSON.stringify(figures)}`);
});
