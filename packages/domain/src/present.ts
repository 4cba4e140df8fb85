/** `T` with the fields left out that may be undefined. */
export type Present<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** The fields that are set, and no others: so that what is absent is absent, rather than there and undefined. */
export function present<T extends object>(fields: T): Present<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>;
}
