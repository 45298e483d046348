export function startServices(files: readonly string[]): Promise<{ env: Record<string, string>; stop(): Promise<void> }>;
export function neededServers(files: readonly string[]): Set<string>;
