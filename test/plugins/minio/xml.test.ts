import assert from "node:assert/strict";
import { test } from "node:test";
import { childrenOf, escapeXml, parseXml, textOf } from "../../../plugins/minio/xml.ts";

test("elements are read with their text, whatever it looks like", () => {
  const page = parseXml(`<?xml version="1.0" encoding="UTF-8"?>
    <!-- a comment --><ns:List xmlns:ns="http://example.org/"><Key>007</Key><Key a="b">a &amp; b &lt;c&gt; &#x1F600;&#233; &quot;&apos; &unknown;</Key><Empty/><Key><![CDATA[<raw> & ]]></Key></ns:List>`);
  assert.equal(page.name, "List");
  assert.deepEqual(
    childrenOf(page, "Key").map(({ text }) => text),
    ["007", "a & b <c> 😀é \"' &unknown;", "<raw> & "],
  );
  assert.equal(textOf(page, "Empty"), undefined);
  assert.equal(textOf(page, "Missing"), undefined);
});

test("what was cut off, or is no XML, is refused", () => {
  for (const text of ["", "not found", "<List><Key>a</Key>", "<html><br><p></html>"]) {
    assert.throws(() => parseXml(text), /something else than XML, or with a part of it/, text);
  }
});

test("text is escaped so that it is read as it was", () => {
  const text = `<a> & "b" 'c' é 😀`;
  assert.equal(parseXml(`<Key>${escapeXml(text)}</Key>`).text, text);
});
