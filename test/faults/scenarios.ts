import { test } from "node:test";
import { type Figures, type Scale, type Scenario, Stage } from "./stage.ts";

/** Makes a test of each scenario, `HEXKIT_TEST_REPEAT` times (once by default); each prints its figures on one line. */
export function testScenarios(scale: Scale, scenarios: readonly Scenario[], open: () => Stage = () => new Stage()): void {
  const times = Number(process.env.HEXKIT_TEST_REPEAT ?? 1);
  for (const scenario of scenarios) {
    for (let time = 1; time <= times; time += 1) {
      test(`${scenario.name}${times > 1 ? ` (${time} of ${times})` : ""}: ${scenario.title}`, async () => {
        const begin = performance.now();
        await using stage = open();
        const figures = await scenario.run(stage, scale);
        print(scenario, scale, { ...figures, wholeS: Math.round((performance.now() - begin) / 100) / 10 });
      });
    }
  }
}

function print({ name }: Scenario, scale: Scale, figures: Figures): void {
  const shown = Object.entries(figures).map(([what, value]) => `${what} ${value}`);
  console.log(`figures ${name} ${scale}: ${shown.join(", ")}`);
}
