/** Resolved model, with the names of the configuration, however the client wrote them. */
export interface ResolvedModel {
  readonly provider: string;
  /** Id at the provider. */
  readonly id: string;
}

/**
 * True if an entry of a list of models matches a model. Case and outer blanks do not matter; `*` stands for any run of characters.
 * An entry without `/` is matched against the id at any provider, one with `/` against `provider/id`.
 */
export function matchesModel(entry: string, { provider, id }: ResolvedModel): boolean {
  const [pattern, model] = [fold(entry), fold(id)];
  return matchesGlob(pattern, pattern.includes("/") ? `${fold(provider)}/${model}` : model);
}

/** True if an entry denies a model: as `matchesModel`, but an id that contains a `/` is matched by its own name too. */
export function deniesModel(entry: string, model: ResolvedModel): boolean {
  return matchesModel(entry, model) || (model.id.includes("/") && matchesGlob(fold(entry), fold(model.id)));
}

/** Matches a glob in time proportional to both lengths, whatever the pattern. */
function matchesGlob(pattern: string, text: string): boolean {
  const parts = pattern.split("*");
  const [first = "", last = ""] = [parts[0], parts.at(-1)];
  if (parts.length === 1) return pattern === text;
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const index = text.indexOf(part, at);
    if (index === -1) return false;
    at = index + part.length;
  }
  return at <= text.length - last.length;
}

function fold(text: string): string {
  return text.trim().toLowerCase();
}
