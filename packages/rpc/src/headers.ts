/**
 * Header of the request id, by which a call is found in the logs. Accepted only together with a service credential; other calls get a new
 * id.
 */
export const REQUEST_ID = "x-request-id";

/** Header of the address from which the client of a relayed call connected. Accepted only together with a service credential. */
export const CLIENT_ADDRESS = "x-routeplane-client-address";

/**
 * Header of the gateway's service credential, on a call that it relays with the credential of its client: it proves that the two
 * headers above come from the gateway. The gateway removes it from clients' requests.
 */
export const RELAY_CREDENTIAL = "x-routeplane-relay";
