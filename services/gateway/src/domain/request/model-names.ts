/** Names of a model, by which requests and the providers file refer to it. */
export interface NamedModel {
  /** Name of the provider, in lower case. */
  readonly provider: string;
  /** Id at the provider. */
  readonly id: string;
  /** More names, without the provider's. */
  readonly aliases?: readonly string[] | undefined;
}

/** Models by their names, ignoring case and outer blanks. */
export interface ModelNames<M extends NamedModel> {
  /**
   * Finds the model that a text names: `provider/id`, an alias, or the bare `id`. If several providers have the id, the first one of
   * the configuration. An alias is the operator's word, so it comes before the id of another model.
   */
  find(text: string): M | undefined;
  /** Finds the model of a provider by its id alone. */
  findServed(provider: string, id: string): M | undefined;
}

/** @param models models in the order of the configuration */
export function createModelNames<M extends NamedModel>(models: readonly M[]): ModelNames<M> {
  const served = new Map<string, M>();
  const short = new Map<string, M>();
  const addShort = (name: string, model: M): void => {
    if (!short.has(fold(name))) short.set(fold(name), model);
  };
  for (const model of models) served.set(fold(qualifiedName(model)), model);
  for (const model of models) for (const alias of model.aliases ?? []) addShort(alias, model);
  for (const model of models) addShort(model.id, model);
  return {
    find: (text) => served.get(fold(text)) ?? short.get(fold(text)),
    findServed: (provider, id) => served.get(fold(qualifiedName({ provider, id }))),
  };
}

/** Name of a model that no other model has. */
export function qualifiedName({ provider, id }: Pick<NamedModel, "provider" | "id">): string {
  return `${provider}/${id}`;
}

/** Form of a name in which equal names are equal. */
export function fold(text: string): string {
  return text.trim().toLowerCase();
}
