import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { snake, variableOf } from "../../config/names.ts";
import { sectionNames, sections } from "../../config/sections.ts";
import { ownSettings, partsOf } from "../../config/vocabulary.ts";
import { type ErrorCode, errorCodes } from "../../core/errors.ts";
import { builtinPlugins } from "../../core/loader.ts";
import type { Plugin } from "../../core/plugin.ts";
import { builtinProtocols } from "../../core/protocols/builtin.ts";
import type { ProtocolDefinition } from "../../core/protocols/index.ts";
import { generated, generatedSection, propertyTable, table, withSection } from "./generated-file.ts";

async function plugins(): Promise<Plugin[]> {
  const modules = await Promise.all(builtinPlugins.map((name) => import(`../../plugins/${name}/index.ts`)));
  return modules.map(({ plugin }) => plugin as Plugin);
}

/** The codes of each category, in the order of the table. */
function categories(): [category: string, codes: ErrorCode[]][] {
  const codes = Object.keys(errorCodes) as ErrorCode[];
  const names = [...new Set(codes.map((code) => errorCodes[code].category))];
  return names.map((name) => [name, codes.filter((code) => errorCodes[code].category === name)]);
}

const short = (code: ErrorCode): string => code.replace("ERR_HEXKIT_", "");

/** The variable of an option or setting below a provider's or binding's name. */
const variableBelow =
  (name: string) =>
  (path: readonly string[]): string =>
    [variableOf(name), ...path.map(snake)].join("_");

describe("generated documents and files", () => {
  it("README.md: the error codes by category", () => {
    const rows = categories().map(([category, codes]) => [category, codes.map((code) => `\`${short(code)}\``).join(", ")]);
    generatedSection("README.md", "errors", table(["Category", "Codes, each after `ERR_HEXKIT_`"], rows));
  });

  it("docs/errors.md: the error codes", () => {
    const parts = categories().map(([category, codes]) => {
      const rows = codes.map((code) => [`\`${code}\``, errorCodes[code].retryable ? "yes" : "no", errorCodes[code].summary]);
      return `## ${category}\n\n${table(["Code", "Retryable", "Meaning"], rows)}`;
    });
    generatedSection("docs/errors.md", "errors", parts.join("\n\n"));
  });

  it("README.md: which plugin has a driver for which protocol", async () => {
    const all = await plugins();
    const composed = builtinProtocols.filter(({ composes }) => composes !== undefined);
    const own = builtinProtocols.filter((protocol) => !composed.includes(protocol)).map(({ name }) => name);
    const names = [...new Set([...own, ...all.flatMap(({ provides }) => Object.keys(provides))])];
    const rows = names.map((name) => [`\`${name}\``, ...all.map((plugin) => (plugin.provides[name] ? "yes" : ""))]);
    const parts = ({ name, composes }: ProtocolDefinition): string =>
      `\`${name}\` (${Object.values(composes ?? {})
        .map((part) => `\`${part}\``)
        .join(", ")})`;
    const note = `Composed of whatever these are bound to: ${composed.map(parts).join(", ")}.`;
    generatedSection("README.md", "protocols", `${table(["Protocol", ...all.map(({ name }) => `\`${name}\``)], rows)}\n\n${note}`);
  });

  it("docs/settings.md: the sections", () => {
    const parts = sectionNames.map((name) => `## ${name}\n\n${propertyTable(sections[name], variableBelow(name))}`);
    generatedSection("docs/settings.md", "sections", parts.join("\n\n"));
  });

  it("docs/settings.md: the protocols' settings", () => {
    const parts = builtinProtocols.map((protocol) => {
      const properties = { ...partsOf(protocol), ...ownSettings(protocol).properties };
      return `## ${protocol.name}\n\n${protocol.summary}\n\n${propertyTable({ properties }, variableBelow(protocol.name))}`;
    });
    generatedSection("docs/settings.md", "settings", parts.join("\n\n"));
  });

  it("docs/settings.md: where the plugins' options are", async () => {
    const rows = (await plugins()).map(({ name, summary, provides }) => {
      const options = `[options](../plugins/${name}/README.md#options)`;
      return [
        `\`${name}\``,
        summary,
        Object.keys(provides)
          .map((protocol) => `\`${protocol}\``)
          .join(", "),
        options,
      ];
    });
    generatedSection("docs/settings.md", "plugins", table(["Plugin", "For", "Offers", "May be set"], rows));
  });

  for (const name of builtinPlugins) {
    it(`plugins/${name}/README.md: the options`, async () => {
      const { plugin } = (await import(`../../plugins/${name}/index.ts`)) as { plugin: Plugin };
      generatedSection(`plugins/${name}/README.md`, "options", propertyTable(plugin.options, variableBelow(name)));
    });
  }

  it("examples/nats-jetstream/README.md: the options", async () => {
    const { default: nats } = await import("../../examples/nats-jetstream/index.ts");
    generatedSection("examples/nats-jetstream/README.md", "options", propertyTable(nats.options, variableBelow("queue")));
  });

  it("hexkit.config.schema.json", async () => {
    const { configSchema } = await import("../../config/index.ts");
    const all = await plugins();
    const schema = configSchema({
      protocols: Object.fromEntries(builtinProtocols.map((protocol) => [protocol.name, protocol])),
      plugins: Object.fromEntries(
        all.map((plugin) => [plugin.name, { name: plugin.name, options: plugin.options, provides: Object.keys(plugin.provides) }]),
      ),
      builtinPlugins,
    });
    generated("hexkit.config.schema.json", `${JSON.stringify(schema, null, 2)}\n`);
  });
});

describe("the table writer", () => {
  it("aligns, escapes bars and joins lines", () => {
    assert.equal(table(["A", "Bee"], [["x|y", "1\n2"]]), "| A    | Bee |\n| ---- | --- |\n| x\\|y | 1 2 |");
  });

  it("exchanges one section and keeps the rest", () => {
    const document = "a\n<!-- generated: one -->\nold\n<!-- end -->\nb\n<!-- generated: two -->\nkept\n<!-- end -->\n";
    const changed = withSection(document, "one", "new");
    assert.equal(changed, "a\n<!-- generated: one -->\n\nnew\n\n<!-- end -->\nb\n<!-- generated: two -->\nkept\n<!-- end -->\n");
    assert.equal(withSection(changed, "one", "new"), changed);
    assert.throws(() => withSection(document, "three", "new"), /no section/);
  });

  it("shows required, default, secret and nested options with their variables", () => {
    const text = propertyTable(
      {
        required: ["hosts"],
        properties: {
          hosts: { type: "array", items: { type: "string" }, description: "Hosts." },
          port: { type: "integer", minimum: 1, maximum: 65535, description: "Port." },
          waitMs: { type: "integer", minimum: 0, maximum: 2147483647, default: 5, description: "Wait." },
          mode: { enum: ["a", "b"], default: "a", description: "Mode." },
          login: { type: "object", properties: { passWord: { type: "string", writeOnly: true, description: "Secret." } } },
        },
      },
      variableBelow("mail"),
    );
    const cells = text.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
    assert.deepEqual(cells[2]?.slice(1, 6), ["`hosts`", "list of strings", "required", "`HEXKIT_MAIL_HOSTS`", "Hosts."]);
    assert.deepEqual(cells[3]?.slice(1, 3), ["`port`", "integer, 1 to 65535"]);
    assert.deepEqual(cells[4]?.slice(1, 4), ["`waitMs`", "integer from 0", "`5`"], "what every timer has as its bound is not told");
    assert.deepEqual(cells[5]?.slice(1, 6), ["`mode`", '`"a"` or `"b"`', '`"a"`', "`HEXKIT_MAIL_MODE`", "Mode."]);
    assert.deepEqual(cells[6]?.slice(1, 6), [
      "`login.passWord`",
      "secret string",
      "none",
      "`HEXKIT_MAIL_LOGIN_PASS_WORD`, or `HEXKIT_MAIL_LOGIN_PASS_WORD_FILE`",
      "Secret.",
    ]);
  });
});
