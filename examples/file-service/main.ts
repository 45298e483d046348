import { openRegistry } from "hexkit";
import { config, run, startFileService } from "./service.ts";

await run(async () => {
  await using registry = await openRegistry({ config });
  await using service = await startFileService(registry, Number(process.env.PORT ?? 8080));
  console.log(`files at ${service.url}/files`);
  await registry.serve();
});
