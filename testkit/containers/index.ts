export type { ContainerOptions, ServerInContainer } from "./server.ts";
export { startKafka, startMongodb, startS3 } from "./servers.ts";
