import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { snake, variableOf } from "../../config/names.ts";
import { sections } from "../../config/sections.ts";
import { partsOf } from "../../config/vocabulary.ts";
import { errorCodes } from "../../core/errors.ts";
import { builtinPlugins } from "../../core/loader.ts";
import type { Plugin } from "../../core/plugin.ts";
import { builtinProtocols } from "../../core/protocols/builtin.ts";
import { manifest, root } from "./packed-package.ts";

const page = "docs/from-python-hexkit.md";

/** The code in the cells of the columns named "Here", with the lines that they stand in. */
function ours(text: string): { line: number; name: string }[] {
  let column: number | undefined;
  return text.split("\n").flatMap((row, index) => {
    if (!row.startsWith("|")) {
      column = undefined;
      return [];
    }
    const cells = row.split("|").map((cell) => cell.trim());
    if (column === undefined) {
      column = cells.indexOf("Here");
      return [];
    }
    return [...(cells[column] ?? "").matchAll(/`([^`]+)`/g)].map(([, name = ""]) => ({ line: index + 1, name }));
  });
}

interface Properties {
  readonly [name: string]: { readonly writeOnly?: boolean; readonly properties?: Properties };
}

/** `tls.ca` for each option or setting, flat or one level deep. */
const paths = (properties: Properties): string[] =>
  Object.entries(properties).flatMap(([name, { properties: inner }]) => [
    name,
    ...(inner === undefined ? [] : paths(inner).map((path) => `${name}.${path}`)),
  ]);

/** Everything that a name on the page may be: of options and settings with their variables, codes, exports, members of exported interfaces. */
async function known(): Promise<(name: string) => boolean> {
  const names = new Set<string>([...Object.keys(errorCodes), ...builtinPlugins]);
  const add = (owner: string, properties: Properties): void => {
    for (const path of paths(properties)) {
      names.add(`${owner}.${path}`);
      const variable = [variableOf(owner), ...path.split(".").map(snake)].join("_");
      names.add(variable).add(`${variable}_FILE`);
    }
  };
  for (const [name, { properties }] of Object.entries(sections)) add(name, properties as unknown as Properties);
  for (const protocol of builtinProtocols) {
    names.add(protocol.name);
    add(protocol.name, { ...partsOf(protocol), ...protocol.settings.properties });
  }
  for (const name of builtinPlugins) {
    const { plugin } = (await import(`../../plugins/${name}/index.ts`)) as { plugin: Plugin };
    add(name, plugin.options.properties as unknown as Properties);
  }
  for (const path of Object.keys(manifest().exports)) names.add(`hexkit${path.slice(1)}`);
  for (const door of ["core/index.ts", "testkit/index.ts", "testkit/containers/index.ts"]) {
    const text = readFileSync(join(root, door), "utf8");
    for (const [, list = ""] of text.matchAll(/^export (?:type )?\{([^}]*)\}/gms))
      for (const name of list.split(",")) names.add(name.replace(/^\s*type\s/, "").trim());
    for (const [, name = ""] of text.matchAll(/^export (?:async )?(?:function|const|class|interface|type) (\w+)/gm)) names.add(name);
  }
  const members = interfaceMembers();
  return (name) => {
    const plain = name.replace(/\(.*\)$/, "");
    const [owner = "", member = ""] = plain.split(".");
    return names.has(plain) || (names.has(owner) && (members.get(owner)?.has(member) ?? false));
  };
}

/** The members of every interface in core and testkit, those that it inherits as well. */
function interfaceMembers(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const parents: [string, string[]][] = [];
  const rooms = ["core", "testkit"].map((room) => readdirSync(join(root, room), { recursive: true, withFileTypes: true }));
  for (const entry of rooms.flat()) {
    if (!entry.name.endsWith(".ts")) continue;
    const text = readFileSync(join(entry.parentPath, entry.name), "utf8");
    for (const [, name = "", heritage = "", body = ""] of text.matchAll(
      /^export interface (\w+)(?:<.*?>)?(?: extends ([^{]*?))? \{\n(.*?)^\}/gms,
    )) {
      found.set(name, new Set([...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:<]/gm)].map(([, member = ""]) => member)));
      parents.push([name, heritage.split(",").map((parent) => parent.trim().replace(/<.*/, ""))]);
    }
  }
  for (const [name, heritage] of parents)
    for (const parent of heritage) for (const member of found.get(parent) ?? []) found.get(name)?.add(member);
  return found;
}

describe(page, () => {
  const text = readFileSync(join(root, page), "utf8");

  it("names nothing of ours that is not there", async () => {
    const isThere = await known();
    const names = ours(text).filter(({ name }) => !/[<{ ]/.test(name) && !pythonNames.has(name));
    assert.ok(names.length > 100, `the page has its tables: ${names.length} names`);
    assert.deepEqual(
      names.filter(({ name }) => !isThere(name)).map(({ line, name }) => `${page}:${line}: ${name}`),
      [],
    );
  });

  it("names nothing in its prose that looks like a setting of ours and is none", async () => {
    const isThere = await known();
    const owners = [...builtinPlugins, ...builtinProtocols.map(({ name }) => name), ...Object.keys(sections)].join("|");
    const names = [...text.matchAll(new RegExp(`\`((?:${owners})\\.\\w+(?:\\.\\w+)?)\``, "g"))].map(([, name = ""]) => name);
    assert.deepEqual(
      names.filter((name) => !isThere(name)),
      [],
    );
  });

  it("has every class of error that Python's services catch", () => {
    const classes =
      `NonAsciiStrError CorrelationIdContextError InvalidCorrelationIdError RetriesExhaustedError RetriesLeftError MalformedPayloadError
      DtoValidationError DaoError ResourceNotFoundError ResourceAlreadyExistsError UniqueConstraintViolationError NoHitsFoundError MultipleHitsFoundError
      InvalidFindMappingError DbTimeoutError IdFieldNotFoundError IdTypeNotSupportedError IndexFieldsInvalidError ResourceDeletedError BucketNotFoundError
      BucketAlreadyExistsError BucketNotEmptyError BucketIdValidationError ObjectNotFoundError ObjectAlreadyExistsError ObjectIdValidationError
      MultiPartUploadAlreadyExistsError MultipleActiveUploadsError MultiPartUploadNotFoundError MultiPartUploadConfirmError MultiPartUploadAbortError
      ConfigYamlDoesNotExist MigrationStepError DbLockError DbVersioningInitError MigrationTimeoutError DbVersionMismatchError`.split(
        /\s+/,
      );
    assert.deepEqual(
      classes.filter((name) => !text.includes(`\`${name}\``)),
      [],
    );
  });

  it("is checked by what knows what is there from what is not", async () => {
    const isThere = await known();
    for (const name of [
      "ERR_HEXKIT_BUCKET_EXIST",
      "kafka.broker",
      "Dao.getByIds()",
      "openRegistrys",
      "HEXKIT_KAFKA_BROKER",
      "hexkit/testkits",
      "Dao.toString()",
    ])
      assert.equal(isThere(name), false, name);
    for (const name of [
      "kafka.tls.ca",
      "Dao.getById()",
      "Outbox.insert()",
      "isHexkitError(error, code)",
      "service.name",
      "hexkit/testkit",
      "outbox.dao",
    ])
      assert.equal(isThere(name), true, name);
  });
});

/** Python's, which stand in our column for comparison. */
const pythonNames = new Set(["dlq"]);
