import { fileURLToPath } from "node:url";
import { isHexkitError, openRegistry } from "hexkit";
import { Welcome } from "./welcome.ts";

/** The file that HEXKIT_CONFIG names, else the one beside this module. */
const config = process.env.HEXKIT_CONFIG || fileURLToPath(new URL("./hexkit.config.json", import.meta.url));

try {
  await using registry = await openRegistry({ config });
  const welcome = registry.container.resolve(Welcome);
  console.log(await welcome.greet("Ann", "ann@example.org"));
  console.log(await welcome.greet("Zoë", "zoe@example.org"));
} catch (error) {
  console.error(isHexkitError(error) ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
}
