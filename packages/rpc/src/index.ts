export {
  accessOf,
  type AccessRule,
  internalCallerOf,
  isIdempotent,
  isInternal,
  operatorScopeOf,
  publishedServices,
  serviceScopeOf,
} from "./access.ts";
export { CACHE_SLOT_BYTES, type CacheEntry, MemoryBoundedCache } from "./cache/memory-bounded-cache.ts";
export { type CachedSubject, SUBJECT_BYTES, SubjectChanges } from "./cache/subject-changes.ts";
export { type Change, type ChangeFeed, createChangeFeed } from "./changes/change-feed.ts";
export { type ChangeWatch, type ChangeWatchOptions, watchChanges } from "./changes/change-watch.ts";
export type { ServiceAddress } from "./client/service-address.ts";
export { type CallOutcome, ServiceConnection, type ServiceConnectionOptions } from "./client/service-connection.ts";
export { serviceTransport, type ServiceTransportOptions } from "./client/transport.ts";
export { fromDuration, fromTimeRange, fromTimestamp, toTimestamp } from "./convert.ts";
export { fromConnectError, toConnectError } from "./errors.ts";
export type { EventLog } from "./event-log.ts";
export { MAX_PAGE_BYTES, type PagedList, toProtoPage } from "./page.ts";
export { fromPageToken, toPageToken } from "./page-token.ts";
export {
  credentialPrincipalOf,
  type InternalPrincipal,
  type KeyPrincipal,
  keyPrincipalOf,
  type OperatorPrincipal,
  operatorPrincipalOf,
  type Principal,
  principalOf,
  reachesNamespace,
  type ServicePrincipal,
  type VerifiedPrincipal,
  type VerifyToken,
  wholeNodeOperatorOf,
} from "./principal.ts";
export { toConnectAnswer, toRelayError } from "./relay/relay-errors.ts";
export { type RelayedMethod, relayedMethods, type RelayedService } from "./relay/relayed-methods.ts";
export { createServiceRelay, type RelayReply, type ServiceRelay } from "./relay/service-relay.ts";
export { requestBytesOf } from "./request-bytes.ts";
export { safeText } from "./safe-text.ts";
export { serviceDependency } from "./client/service-dependency.ts";
export { type HealthOptions, healthRoutes } from "./server/health.ts";
export { CLIENT_ADDRESS, RELAY_CREDENTIAL, REQUEST_ID } from "./headers.ts";
export { type Authenticate, createAuthenticate } from "./server/request-gate.ts";
export { requireAccess } from "./server/authorize.ts";
export { readServiceCredentials } from "./server/service-credentials.ts";
export type { CredentialListener } from "./verifier/credential-subscriptions.ts";
export { requirePrincipal } from "./verifier/caching-verifier.ts";
export { createLocalVerifier, type LocalVerifier } from "./verifier/local-verifier.ts";
export type { VerificationResult } from "./verifier/verification-cache.ts";
export { type Certificates, readTls, type ServiceTls } from "./tls.ts";
export { createVerifier, type Verifier, type VerifierOptions } from "./verifier/verifier.ts";
