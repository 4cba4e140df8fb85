/**
 * Where the client of a forwarded call connected from. The gateway sets it and lets none in; a service takes it from whoever
 * calls it directly, which only the node's own network can.
 */
export const CLIENT_ADDRESS = "x-routeplane-client-address";
