/** Sign-in that an address asks for: `/sign-in?next=/keys#code=…`. */
export interface SignInAddress {
  /** One-time code. */
  readonly code: string | undefined;
  /** Path of the page to show, with its query. */
  readonly next: string;
}

/** Reads the address of a sign-in; undefined for that of a page. A page to show that is not of the address's origin is left out. */
export function signInAddressOf({ pathname, search, hash, origin }: URL): SignInAddress | undefined {
  if (pathname !== "/sign-in") return undefined;
  const code = new URLSearchParams(hash.slice(1)).get("code");
  const next = URL.parse(new URLSearchParams(search).get("next") ?? "/", origin);
  return {
    code: code === null || code === "" ? undefined : code,
    next: next?.origin === origin ? `${next.pathname}${next.search}` : "/",
  };
}

/** Takes the one-time code out of the address, so that neither history nor a bookmark has it. The address is then that of the page to show. */
export function takeSignInCode(): string | undefined {
  const address = signInAddressOf(new URL(location.href));
  if (address === undefined) return undefined;
  history.replaceState(null, "", address.next);
  return address.code;
}
