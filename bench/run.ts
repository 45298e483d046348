import { benchGet, benchImport, benchOpen } from "./startup.ts";

console.log(`Node ${process.versions.node}; median (lowest–highest)`);
benchImport();
await benchOpen();
await benchGet();
