/**
 * A reporter for `node --test` that writes what `test/run.mjs` judges by: one JSON line per test, per skipped suite,
 * and per file in which no test ran (the runner itself counts such a file as a test that passed).
 */
export default async function* reporter(source) {
  const ran = new Map();
  for await (const { type, data } of source) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    const file = data.file ?? "";
    if (!ran.has(file)) ran.set(file, false);
    const isFile = data.nesting === 0 && file.endsWith(data.name);
    const isSuite = data.details?.type === "suite";
    const skipped = data.skip !== undefined && data.skip !== false;
    if ((isFile || isSuite) && !skipped && type === "test:pass") continue;
    ran.set(file, true);
    if (isSuite && !skipped) continue;
    const outcome = skipped ? "skip" : data.todo !== undefined ? "todo" : type === "test:pass" ? "pass" : "fail";
    yield line({ outcome, name: data.name, file, reason: data.skip ?? data.todo });
  }
  for (const [file, any] of ran) if (!any) yield line({ outcome: "empty", name: "no test", file });
}

function line(value) {
  return `${JSON.stringify(value)}\n`;
}
