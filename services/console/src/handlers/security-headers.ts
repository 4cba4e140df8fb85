/**
 * Policies of every answer. The page loads from its own origin alone, runs no inline script or style, is framed by nobody and sends no
 * form; no other origin reads an answer or holds a handle of the window. There are no CORS headers: nobody else's page may call.
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

/** A year, as lists of sites that browsers load want it. */
const STRICT_TRANSPORT = "max-age=31536000";

/** @param isSecure true if browsers reach this answer over TLS: they then use nothing else for this host */
export function securityHeaders(isSecure: boolean): Readonly<Record<string, string>> {
  return isSecure ? { ...HEADERS, "strict-transport-security": STRICT_TRANSPORT } : HEADERS;
}
