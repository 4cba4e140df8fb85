export { type Admission, admission, type AdmissionRequest } from "./admission.ts";
export type { CallHeaders } from "./call-headers.ts";
export { type ClientOptions, createClient, type RouteplaneClient } from "./client.ts";
export {
  type ClientReason,
  type ErrorReason,
  type FieldFault,
  RouteplaneError,
  type RouteplaneErrorOptions,
} from "./error.ts";
export type { Grant, Usage } from "./grant.ts";
export { callerOf, type GrpcRequirement, grpcInterceptor } from "./grpc-js.ts";
export type { Log } from "./log.ts";
export { type AuthenticatedCall, type AuthenticatedListener, authenticateCall, protect } from "./node-http.ts";
export type { Price } from "./price.ts";
export type { Credential, ServiceOptions } from "./service.ts";
export {
  type Caller,
  type CallerSubscription,
  type Requirement,
  type Verifier,
  verifier,
  type VerifierOptions,
} from "./verifier.ts";
