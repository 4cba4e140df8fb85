import type { Format } from "./format.ts";
import type { Mode } from "./output.ts";
import { isUnprintable, printableJson, printableLines } from "./printable.ts";

/** Mode of the output before the code of its format is loaded. */
export function modeOf(format: Format | undefined): Mode {
  return { format, encode: printableJson, wholeLists: false };
}

/**
 * Mode of the output in a format, or through a jq expression. Loads the code of either.
 *
 * @throws CliError usage if `query` is not a valid expression
 */
export async function loadMode(format: Format | undefined, query: string | undefined): Promise<Mode> {
  if (query !== undefined) {
    const { loadQuery } = await import("./query.ts");
    return { format, encode: await loadQuery(query), wholeLists: true };
  }
  if (format !== "yaml") return modeOf(format);
  const { Document, visit } = await import("yaml");
  const encode = (value: unknown): string => {
    // Aliases and folded lines are correct YAML that surprises simple readers.
    const document = new Document(value, { aliasDuplicateObjects: false });
    visit(document, {
      // YAML interprets escapes within double quotes only.
      Scalar(_, node) {
        if (typeof node.value === "string" && isUnprintable(node.value)) node.type = "QUOTE_DOUBLE";
      },
    });
    return printableLines(document.toString({ lineWidth: 0 }).trimEnd());
  };
  return { format, encode, wholeLists: true };
}
