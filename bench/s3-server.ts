import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Where a server of S3's kind is. */
export interface S3Server {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

/** Runs `work` with the MinIO that `HEXKIT_TEST_MINIO_ENDPOINT` and its companions name, or with one that is started for it. */
export async function withMinio(work: (server: S3Server) => Promise<void>): Promise<void> {
  if (process.env.HEXKIT_TEST_MINIO_ENDPOINT) return work(serverOf((name) => process.env[`HEXKIT_TEST_${name}`]));
  const script = fileURLToPath(new URL("test/services/minio.sh", import.meta.resolve("hexkit/package.json")));
  const env = { ...process.env, HEXKIT_TEST_INSTANCE: `bench-${process.pid}` };
  const run = (...args: string[]): string => execFileSync(script, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  try {
    const printed = run("start", "0");
    await work(serverOf((name) => new RegExp(`^${name}=(.+)$`, "m").exec(printed)?.[1]));
  } finally {
    run("kill");
    run("clean");
  }
}

function serverOf(variable: (name: string) => string | undefined): S3Server {
  const value = (name: string): string => {
    const found = variable(`MINIO_${name}`);
    if (!found) throw new Error(`MINIO_${name} is not known`);
    return found;
  };
  return {
    endpoint: value("ENDPOINT"),
    accessKeyId: value("ACCESS_KEY_ID"),
    secretAccessKey: value("SECRET_ACCESS_KEY"),
    region: value("REGION"),
  };
}
