import type { Format } from "./format.ts";
import type { Mode } from "./output.ts";
import { isUnprintable, printableJson, printableLines } from "./printable.ts";

/** Form of data before the code of a format is loaded. */
export function modeOf(format: Format | undefined): Mode {
  return { format, encode: printableJson, wholeLists: false };
}

/**
 * Form of data in a format, or as a jq expression makes it of the JSON. The code of either is loaded now.
 *
 * @throws CliError usage if it is no expression
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
      // Only within double quotes does an escape stand for its character.
      Scalar(_, node) {
        if (typeof node.value === "string" && isUnprintable(node.value)) node.type = "QUOTE_DOUBLE";
      },
    });
    return printableLines(document.toString({ lineWidth: 0 }).trimEnd());
  };
  return { format, encode, wholeLists: true };
}
