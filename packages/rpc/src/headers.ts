/** Finds a call in the logs. Taken from callers with a service credential; others get a new one. */
export const REQUEST_ID = "x-request-id";

/** Address that the client of a forwarded call connected from. Taken from callers with a service credential only. */
export const CLIENT_ADDRESS = "x-routeplane-client-address";

/**
 * The gateway's service credential, on a call that it passes on with the credential of its client: by it a service knows that
 * the other headers come from the gateway. The gateway lets none in.
 */
export const RELAY_CREDENTIAL = "x-routeplane-relay";
