import { startServer } from "../test/services/server.mjs";

/** Where a server of S3's kind is. */
export interface S3Server {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

/** Runs `work` with the MinIO that `HEXKIT_TEST_MINIO_ENDPOINT` and its companions name, or with one that is started for it. */
export async function withMinio(work: (server: S3Server) => Promise<void>): Promise<void> {
  const given = process.env.HEXKIT_TEST_MINIO_ENDPOINT !== undefined;
  const started = given ? undefined : await startServer("minio");
  const variable = (name: string): string => {
    const value = started === undefined ? process.env[`HEXKIT_TEST_MINIO_${name}`] : started.addresses[`MINIO_${name}`];
    if (value === undefined) throw new Error(`HEXKIT_TEST_MINIO_${name} is not set`);
    return value;
  };
  try {
    await work({
      endpoint: variable("ENDPOINT"),
      accessKeyId: variable("ACCESS_KEY_ID"),
      secretAccessKey: variable("SECRET_ACCESS_KEY"),
      region: variable("REGION"),
    });
  } finally {
    await started?.stop();
  }
}
