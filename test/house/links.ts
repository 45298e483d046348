import { posix } from "node:path";

/**
 * The links of Markdown documents that lead nowhere, as `file:line: link: reason`. `documents` are paths from the root with their text;
 * `exists` tells of any path from the root. What stands in code is no link, and what lies on the web is not looked at.
 */
export function brokenLinks(documents: ReadonlyMap<string, string>, exists: (path: string) => boolean): string[] {
  const anchors = new Map<string, ReadonlySet<string>>();
  const anchorsOf = (path: string): ReadonlySet<string> => {
    const known = anchors.get(path) ?? headingAnchors(documents.get(path) ?? "");
    anchors.set(path, known);
    return known;
  };
  const broken = (from: string, link: string): string | undefined => {
    if (/^[a-z][a-z0-9+.-]*:/i.test(link)) return undefined;
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? from : posix.join(posix.dirname(from), decodeURIComponent(path)).replace(/\/$/, "");
    if (target.startsWith("..")) return "leads out of the project";
    if (!exists(target) && !documents.has(target)) return `there is no ${target}`;
    return anchor === undefined || !documents.has(target) || anchorsOf(target).has(anchor)
      ? undefined
      : `${target} has no heading #${anchor}`;
  };
  return [...documents].flatMap(([from, text]) =>
    prose(text).flatMap((line, index) =>
      [...line.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g)].flatMap(([, link = ""]) => {
        const reason = broken(from, link);
        return reason === undefined ? [] : [`${from}:${index + 1}: ${link}: ${reason}`];
      }),
    ),
  );
}

/** The anchors of a document's headings, as GitHub makes them: lower case, no punctuation, spaces as hyphens, numbers for what is there already. */
export function headingAnchors(text: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const [, heading = ""] of prose(text, { keepCode: true }).flatMap((line) => [...line.matchAll(/^#{1,6} +(.+?)(?: +#+)?$/g)])) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "");
    const anchor = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, "")
      .replaceAll(" ", "-");
    let unique = anchor;
    for (let count = 1; found.has(unique); count += 1) unique = `${anchor}-${count}`;
    found.add(unique);
  }
  return found;
}

/** The lines of a document, those in fences empty; without what stands between backticks, unless `keepCode`. */
function prose(text: string, { keepCode = false }: { keepCode?: boolean } = {}): string[] {
  let fence: string | undefined;
  return text.split("\n").map((line) => {
    const [, marks] = /^ *(`{3,}|~{3,})/.exec(line) ?? [];
    if (marks !== undefined && (fence === undefined || marks.startsWith(fence))) {
      fence = fence === undefined ? marks : undefined;
      return "";
    }
    if (fence !== undefined) return "";
    return keepCode ? line : line.replace(/(`+).*?\1/g, "");
  });
}
