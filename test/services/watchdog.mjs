// Cleans up after a process that can no longer do it itself: node watchdog.mjs COMMAND ARG…
// Its stdin is a pipe held by the process that started it. The word "done" on it means that all is clean already;
// the pipe's end without it means that the process is gone, and COMMAND kills its server and removes the data.
import { spawnSync } from "node:child_process";

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});

let heard = "";
for await (const chunk of process.stdin) heard += chunk;
const [command, ...args] = process.argv.slice(2);
if (heard !== "done" && command !== undefined) spawnSync(command, args, { stdio: "ignore" });
