import type { ScriptedServer, Server } from "./server.mjs";

export type ScriptedKafka = ScriptedServer;

export function startKafka(options: { settings?: Record<string, string>; container: false }): Promise<ScriptedKafka>;
export function startKafka(options?: { settings?: Record<string, string>; container?: boolean }): Promise<Server>;
