#!/usr/bin/env node
import { run } from "./program.ts";
import { Terminal } from "./terminal.ts";

const terminal = new Terminal(process.stdout, process.stderr, process.env);
const code = await run(process.argv.slice(2), terminal);
await terminal.flush();
// A plugin that was looked at may have left a timer behind.
process.exit(code);
