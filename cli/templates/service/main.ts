import { openRegistry } from "hexkit";
import { startService } from "./service.ts";

await using registry = await openRegistry(); // hexkit.config.json, then the environment
startService(registry);
await registry.serve(); // until SIGTERM, SIGINT or a failed subscription
