import type { ListedPart } from "./driver.ts";

/** What is wrong with the parts of an upload that is to be completed, in the order of contract 6.7; `undefined` if nothing is. */
export function completionFault(
  parts: readonly Pick<ListedPart, "partNumber" | "sizeBytes">[],
  expected: { readonly partCount?: number | undefined; readonly partSizeBytes?: number | undefined; readonly minPartBytes: number },
): string | undefined {
  const { partCount, partSizeBytes, minPartBytes } = expected;
  const first = parts[0];
  const last = parts.at(-1);
  if (first === undefined || last === undefined) return "no part has arrived";
  if (partCount !== undefined && parts.length !== partCount) return `${partCount} parts are expected, ${parts.length} have arrived`;
  if (partSizeBytes !== undefined) {
    if (parts.length > 1 && first.sizeBytes !== partSizeBytes) return `parts of ${partSizeBytes} bytes are expected, ${describe(first)}`;
    if (last.sizeBytes > partSizeBytes) return `parts of ${partSizeBytes} bytes are expected, the last one, ${describe(last)}`;
  }
  if (last.sizeBytes > first.sizeBytes) return `the last part may not be larger than the first: ${describe(first)}, ${describe(last)}`;
  const uneven = parts.slice(1, -1).find(({ sizeBytes }) => sizeBytes !== first.sizeBytes);
  if (uneven !== undefined) return `parts must have one size, the last one excepted: ${describe(first)}, ${describe(uneven)}`;
  if (parts.length > 1 && first.sizeBytes < minPartBytes)
    return `parts but the last must have ${minPartBytes} bytes or more: ${describe(first)}`;
  return undefined;
}

function describe({ partNumber, sizeBytes }: Pick<ListedPart, "partNumber" | "sizeBytes">): string {
  return `part ${partNumber} has ${sizeBytes}`;
}
