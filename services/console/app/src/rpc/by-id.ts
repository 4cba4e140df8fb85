const NONE: readonly never[] = [];
const maps = new WeakMap<object, ReadonlyMap<string, unknown>>();

/** Things of a list by their ids. Made once for a list, however many parts of a page ask: each row of a table does. */
export function byId<Thing extends { readonly id: string }>(list: readonly Thing[] = NONE): ReadonlyMap<string, Thing> {
  const made = maps.get(list) ?? new Map(list.map((thing) => [thing.id, thing]));
  maps.set(list, made);
  return made as ReadonlyMap<string, Thing>;
}
