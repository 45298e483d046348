import { HexkitError } from "../../errors.ts";

const mebibyte = 2 ** 20;
/** Largest object that any provider stores, in bytes: 5 TiB. */
export const maxObjectBytes = 5 * 2 ** 40;
/** Most parts of one upload. */
export const maxPartCount = 10_000;
const smallestBytes = 8 * mebibyte;
const largestBytes = 4096 * mebibyte;

/**
 * The size of parts for an object of `sizeBytes`: the preference, within 8 MiB and 4 GiB, if it gives no more than 10,000 parts, else the smallest
 * power of two that does. Default preference: 8 MiB.
 * @throws ERR_HEXKIT_INVALID_ARGUMENT for a size that is no whole number, ERR_HEXKIT_OBJECT_TOO_LARGE above 5 TiB.
 */
export function recommendPartSize(sizeBytes: number, preferredBytes: number = smallestBytes): number {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || !Number.isFinite(preferredBytes)) {
    throw new HexkitError("ERR_HEXKIT_INVALID_ARGUMENT", `part size for ${sizeBytes} bytes: sizes are whole numbers of bytes`);
  }
  if (sizeBytes > maxObjectBytes) {
    throw new HexkitError(
      "ERR_HEXKIT_OBJECT_TOO_LARGE",
      `part size for ${sizeBytes} bytes: an object has at most 5 TiB (${maxObjectBytes})`,
    );
  }
  const preferred = Math.floor(Math.min(Math.max(preferredBytes, smallestBytes), largestBytes));
  if (sizeBytes <= preferred * maxPartCount) return preferred;
  let bytes = smallestBytes;
  while (sizeBytes > bytes * maxPartCount) bytes *= 2;
  return bytes;
}
