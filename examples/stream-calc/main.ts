import { openRegistry } from "hexkit";
import { config, run, startStreamCalc } from "./service.ts";

await run(async () => {
  await using registry = await openRegistry({ config });
  startStreamCalc(registry);
  await registry.serve();
});
