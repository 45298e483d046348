import { it } from "node:test";
import { testsLinked } from "./scaffolds.ts";

it("hexkit init plugin --protocol objectStorage: passes its tests as generated", () => testsLinked("objectStorage"));
