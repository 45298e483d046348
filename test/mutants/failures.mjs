/** A reporter for those who look for failures: one JSON line for each test that failed, with the titles above it and why, and one at the end. */
export default async function* failures(source) {
  const titles = [];
  let passed = 0;
  for await (const { type, data } of source) {
    if (type === "test:start") titles.splice(data.nesting, titles.length, data.name);
    if (type === "test:pass" && data.skip === undefined && data.details?.type !== "suite") passed += 1;
    if (type !== "test:fail" || data.details?.type === "suite") continue;
    const { error } = data.details;
    yield line({ failed: [...titles.slice(0, data.nesting), data.name], why: String(error?.cause?.message ?? error?.message ?? error) });
  }
  yield line({ passed });
}

function line(value) {
  return `${JSON.stringify(value)}\n`;
}
