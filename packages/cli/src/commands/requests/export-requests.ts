import type { Command, Option } from "commander";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { RequestNames } from "../../request-names.ts";
import { loginCredential } from "../../session.ts";
import { REQUEST_FIELD_NAMES } from "../../views/requests/request.ts";
import { withExamples } from "../examples.ts";
import { type ExportOptions, exportRows, withExportOptions, writtenRangeOf } from "../export/export-rows.ts";
import { type FilterOptions, toFilter, withFilters } from "./request-filter.ts";
import { readRequests } from "./read-requests.ts";
import { resolveFilter } from "./resolve-filter.ts";
import { type RangeOptions, withRange } from "../time-range.ts";

type RequestExportOptions = FilterOptions & RangeOptions & ExportOptions;

export function addExportCommand(requests: Command, context: Context): void {
  const command = withExportOptions(withFilters(requests.command("export")), requests)
    .description("Export the request log, newest first")
    // Commander assigns an option that list and export share to the list, at any position.
    .action((_: RequestExportOptions, self: Command) => {
      for (const option of onlyOf(requests, self)) {
        if (requests.getOptionValueSource(option.attributeName()) === "cli") {
          throw usageError(`option '${option.flags}' cannot be used with export, which writes the whole log`);
        }
      }
      return exportRequests(context, self.optsWithGlobals<RequestExportOptions>());
    });
  withExamples(
    command,
    "cloud requests export --format csv --output may.csv --from 2026-05-01 --to 2026-06-01",
    "cloud requests export --format csv --output may.csv --from 2026-05-01 --to 2026-06-01 --resume",
    "cloud requests export --format jsonl --status failed | jq .error_code",
  );
}

/** Options of the list that the export does not have. */
function onlyOf(list: Command, { options }: Command): readonly Option[] {
  return list.options.filter(({ long }) => options.every((own) => own.long !== long));
}

async function exportRequests(context: Context, written: RequestExportOptions): Promise<void> {
  const options = withRange(written);
  await exportRows(context, options, async () => {
    const credential = await loginCredential(context.settings);
    const client = await context.connect(credential);
    const resolved = await resolveFilter(context, credential, options);
    const names = new RequestNames(client, context.output);
    const { key, model, provider, status } = resolved;
    return {
      rowsName: "requests",
      countName: "request_count",
      fieldNames: REQUEST_FIELD_NAMES,
      selection: { key, model, provider, status, ...writtenRangeOf(written) },
      pages: ({ from, to, pageToken }) =>
        readRequests(client, names, toFilter({ ...resolved, ...(from && { from }), to }), { pageToken }),
    };
  });
}
