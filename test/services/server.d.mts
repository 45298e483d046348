export interface Server {
  /** The script's variables: `KAFKA_BROKERS`, `MINIO_ENDPOINT`, …. */
  readonly addresses: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export interface ScriptedServer extends Server {
  /** SIGKILL, with the data kept. */
  kill(): Promise<string>;
  /** On the same ports, with the data kept. */
  restart(): Promise<string>;
  /** Runs one of the server's own tools, where the script has some. */
  tool(...args: string[]): Promise<string>;
}

export function startServer(
  name: "kafka" | "minio" | "mongodb" | "nats" | "versitygw",
  settings?: Record<string, string>,
): Promise<ScriptedServer>;
