import { join } from "node:path";
import { it } from "node:test";
import { hexkitHere, project } from "./command.ts";
import { linkTools, passesItsTests } from "./scaffolds.ts";

// On the sources here: its suite takes its time, beside that of packing.
it("a plugin for objectStorage passes its tests as generated", async () => {
  const { folder, remove } = project();
  try {
    linkTools(folder);
    const into = join(folder, "hexkit-plugin-bear");
    await hexkitHere(["init", "plugin", "bear", "--protocol", "objectStorage", "-d", into]);
    await passesItsTests(into, { NODE_OPTIONS: "--conditions=@hexkit/source" });
  } finally {
    remove();
  }
});
