import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { UsageDimension } from "@routeplane/contracts/usage";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import type { CliError } from "../../errors.ts";
import { keptFromOf } from "../../kept-usage.ts";
import { didYouMean, notFound } from "../../resolve-name.ts";
import { readServedModels } from "../../served-models.ts";
import type { Credential } from "../../session.ts";
import { suggest } from "../../suggest.ts";

/** Filter options that name a model or a provider, and the range in which they are looked up first. */
export interface ModelFilter {
  /** Id, or `provider/id`. */
  readonly model?: string;
  readonly provider?: string;
  readonly from?: Date;
  readonly to?: Date;
}

/** Names as rows of the request log have them; an absent one does not filter. */
type ResolvedModel = Pick<ModelFilter, "model" | "provider">;

/** Model as rows of the request log name it. */
interface LoggedModel {
  readonly provider: string;
  readonly model: string;
}

/** Time before the first request of any node. */
const BEGINNING = new Date("2000-01-01T00:00:00Z");

/**
 * Finds the names in the request log by the rule of the gateway: `provider/id` first, because ids may have slashes too, then the id,
 * ignoring case and outer blanks. Searches the requests of the range, then the served models, then all requests whose usage is kept.
 *
 * @throws CliError RESOURCE_NOT_FOUND with suggestions, if no request was for such a model and no such model is served
 */
export async function resolveModel(
  context: Context,
  { usage }: NodeClient,
  { token }: Credential,
  filter: ModelFilter,
): Promise<ResolvedModel> {
  const groupBy = [UsageDimension.MODEL, UsageDimension.PROVIDER];
  const used = async ({ from, to }: Pick<ModelFilter, "from" | "to">): Promise<readonly LoggedModel[]> => {
    const range = { ...(from && { from: timestampFromDate(from) }), ...(to && { to: timestampFromDate(to) }) };
    try {
      const { groups } = await usage.getUsage({ ...range, groupBy });
      return groups.filter(({ model }) => model !== "");
    } catch (error) {
      const keptFrom = keptFromOf(error);
      // A node that refuses the start that it named is not asked again.
      if (keptFrom === undefined || (from !== undefined && from >= keptFrom)) throw error;
      return to !== undefined && to <= keptFrom ? [] : used({ from: keptFrom, ...(to && { to }) });
    }
  };
  const inRange = await used(filter);
  const found = findModel(inRange, filter);
  if (found !== undefined) return found;
  const models = await readServedModels(await context.url(), token).catch(() => undefined);
  const served = (models ?? []).map(({ id, owned_by }) => ({
    provider: owned_by,
    model: bareId(id, owned_by, models ?? []),
  }));
  const ever = await used({ from: BEGINNING });
  const known = findModel(served, filter) ?? findModel(ever, filter);
  if (known !== undefined) return known;
  const { model, provider } = filter;
  if (models === undefined) {
    const name = JSON.stringify(model ?? provider);
    context.output.note(`No request for ${name} is in the log, and the credential in use cannot list models.`);
    return { ...(model !== undefined && { model }), ...(provider !== undefined && { provider }) };
  }
  throw noModel([...ever, ...served], filter);
}

/** Finds the names in rows that a filter means; undefined if no row has them. */
function findModel(models: readonly LoggedModel[], { model, provider }: ModelFilter): ResolvedModel | undefined {
  const ofProvider = models.filter((each) => provider === undefined || fold(each.provider) === fold(provider));
  const [first] = ofProvider;
  if (model === undefined) return first && { provider: first.provider };
  const named = ofProvider.find((each) => fold(`${each.provider}/${each.model}`) === fold(model));
  if (named !== undefined) return { model: named.model, provider: named.provider };
  const alike = ofProvider.filter((each) => fold(each.model) === fold(model));
  const match = alike.find((each) => each.model === model.trim()) ?? alike[0];
  return match && { model: match.model, ...(provider !== undefined && { provider: match.provider }) };
}

/** Id of a served model without its provider prefix. The gateway adds the prefix to an id that several providers have. */
function bareId(id: string, provider: string, served: readonly { readonly id: string }[]): string {
  if (!fold(id).startsWith(`${fold(provider)}/`)) return id;
  const bare = id.slice(provider.length + 1);
  return served.some((other) => fold(other.id) === fold(bare)) ? bare : id;
}

function noModel(known: readonly LoggedModel[], { model, provider }: ModelFilter): CliError {
  const unknown = "the log has no request for it, and the node does not serve it to the credential in use";
  const ofProvider = known.filter((each) => provider === undefined || fold(each.provider) === fold(provider));
  if (provider !== undefined && ofProvider.length === 0) {
    const names = known.map((each) => each.provider);
    return notFound(`no provider ${JSON.stringify(provider)}: ${unknown}${didYouMean(suggest(provider, names))}`);
  }
  const names = ofProvider.map((each) => (model?.includes("/") ? `${each.provider}/${each.model}` : each.model));
  const of = provider === undefined ? "" : ` of provider ${JSON.stringify(provider)}`;
  return notFound(`no model ${JSON.stringify(model)}${of}: ${unknown}${didYouMean(suggest(model ?? "", names))}`);
}

function fold(name: string): string {
  return name.trim().toLowerCase();
}
