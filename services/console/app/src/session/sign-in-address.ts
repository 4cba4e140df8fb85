/** Sign-in that an address asks for: `/sign-in?next=/keys#code=…`. */
export interface SignInAddress {
  /** Sign-in code. */
  readonly code: string | undefined;
  /** Path of the page to show, with its query. */
  readonly next: string;
}

/**
 * Parses the address of a sign-in; undefined for any other address. A page to show of another origin is ignored, and so is a path that
 * begins with two slashes, because it would be taken for a host.
 */
export function signInAddressOf({ pathname, search, hash, origin }: URL): SignInAddress | undefined {
  if (pathname !== "/sign-in") return undefined;
  const code = new URLSearchParams(hash.slice(1)).get("code");
  const next = URL.parse(new URLSearchParams(search).get("next") ?? "/", origin);
  const isPage = next?.origin === origin && !next.pathname.startsWith("//");
  return {
    code: code === null || code === "" ? undefined : code,
    next: isPage ? `${next.pathname}${next.search}` : "/",
  };
}

/**
 * Removes the sign-in code from the address, so that neither history nor a bookmark has it. The address is then that of the page to show.
 */
export function takeSignInCode(): string | undefined {
  const address = signInAddressOf(new URL(location.href));
  if (address === undefined) return undefined;
  history.replaceState(null, "", address.next);
  return address.code;
}
