/**
 * Reads the token of a request from `Authorization: Bearer …` or `x-api-key`. The scheme is case-insensitive.
 *
 * @returns the token, `missing` if there is none, or `conflict` if the two headers differ or there are several of the first, joined by commas
 */
export function bearerToken(
  authorization: string | null | undefined,
  apiKey: string | null | undefined,
): { readonly token: string } | { readonly fault: "missing" | "conflict" } {
  const bearer = /^bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
  const key = apiKey?.trim() || undefined;
  if (authorization && bearer === undefined) {
    const areSeveral = key !== undefined || /^bearer .+, *bearer /i.test(authorization);
    return { fault: areSeveral ? "conflict" : "missing" };
  }
  if (bearer !== undefined && key !== undefined && bearer !== key) return { fault: "conflict" };
  const token = bearer ?? key;
  return token === undefined ? { fault: "missing" } : { token };
}
