import { openRegistry } from "hexkit";
import { startBilling } from "./service.ts";

await using registry = await openRegistry(); // hexkit.config.json, then the environment
startBilling(registry);
await registry.serve(); // until SIGTERM, SIGINT or a failed subscription
