/** An element of an answer: its text, or its children by name, in their order. */
export interface XmlElement {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

const entities: Readonly<Record<string, string>> = { amp: "&", apos: "'", gt: ">", lt: "<", quot: '"' };
const tokens = /<!\[CDATA\[([\s\S]*?)\]\]>|<(\/?)([^\s/>?!]+)[^>]*?(\/?)>|<[?!][^>]*>|([^<]+)/g;

/**
 * Reads the XML that S3 servers answer with: elements and text; attributes and processing instructions are passed over.
 * The client's own parser decodes names that the server did not encode, and takes `007` for a number.
 */
export function parseXml(text: string): XmlElement {
  const root: XmlElement = { name: "", text: "", children: [] };
  const open = [root];
  for (const [, cdata, closing, name, empty, content] of text.matchAll(tokens)) {
    const current = open.at(-1) ?? root;
    if (cdata !== undefined) current.text += cdata;
    else if (content !== undefined) current.text += unescaped(content);
    else if (name !== undefined && closing !== "") open.pop();
    else if (name !== undefined) {
      const element: XmlElement = { name: name.slice(name.indexOf(":") + 1), text: "", children: [] };
      current.children.push(element);
      if (empty === "") open.push(element);
    }
  }
  const [top] = root.children;
  if (top === undefined || open.length > 1) throw new Error("the server answered with something else than XML, or with a part of it");
  return top;
}

/** The text of a child; `undefined` if there is none, or an empty one. */
export function textOf(element: XmlElement, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text || undefined;
}

export function childrenOf(element: XmlElement, name: string): readonly XmlElement[] {
  return element.children.filter((child) => child.name === name);
}

/** Text without entities. */
export function unescaped(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#x([0-9a-f]+)|#([0-9]+)|([a-z]+));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    return entities[name ?? ""] ?? whole;
  });
}

/** Text as content of an element. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
