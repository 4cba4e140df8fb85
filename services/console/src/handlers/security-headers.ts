/**
 * Security headers of every response. The page loads only from its own origin, runs no inline script or style, cannot be framed and submits
 * no form; no other origin can read a response or get a handle of the window. There are no CORS headers, because no other page may call.
 */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy":
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** HSTS value of one year, as the preload lists of browsers require. */
const STRICT_TRANSPORT = "max-age=31536000";

/** @param isSecure true if browsers reach this response over TLS: then they are told to use only TLS for this host */
export function securityHeaders(isSecure: boolean): Readonly<Record<string, string>> {
  return isSecure ? { ...HEADERS, "strict-transport-security": STRICT_TRANSPORT } : HEADERS;
}
