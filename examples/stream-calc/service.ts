import { fileURLToPath } from "node:url";
import { isHexkitError, type Registry, type Subscription } from "hexkit";
import { StreamCalculator } from "./core/stream-calculator.ts";
import { problemTranslator } from "./translators/problems.ts";
import { EventResultEmitter } from "./translators/results.ts";

/** The file that HEXKIT_CONFIG names, else the one beside this module. */
export const config = process.env.HEXKIT_CONFIG || fileURLToPath(new URL("./hexkit.config.json", import.meta.url));

/** Those of Python hexkit's example. */
const topicNames = { problems: "arithmetic_problems", results: "calc_output" };

/** Puts ports, core and translators together and begins to consume. */
export function startStreamCalc(registry: Registry, topics: typeof topicNames = topicNames): Subscription {
  const results = new EventResultEmitter(registry.get("eventPublisher"), topics.results);
  return registry.get("eventSubscriber").subscribe(problemTranslator(new StreamCalculator(results), topics.problems));
}

/** Runs a program to its end; an error becomes one readable message (with `--stack` all of it) and exit code 1. */
export async function run(program: () => Promise<void>): Promise<void> {
  try {
    await program();
  } catch (error) {
    const brief = isHexkitError(error)
      ? `${error.code}: ${error.message}`
      : error instanceof Error
        ? `${error.name}: ${error.message}`
        : error;
    console.error(process.argv.includes("--stack") ? error : brief);
    process.exitCode = 1;
  }
}
