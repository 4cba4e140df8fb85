export { constantTimeEqual, hashSecret, type Pepper, type Peppers, parsePeppers } from "./hash.ts";
export { bearerToken } from "./bearer-token.ts";
export { holdsToken, redactTokens } from "./redact.ts";
export {
  ALL_OPERATOR_SCOPES,
  ALL_SCOPES,
  ALL_SERVICE_SCOPES,
  effectiveScopes,
  invokesOrReads,
  type OperatorScope,
  parseOperatorScopes,
  type ParsedScopes,
  parseScopes,
  parseServiceScopes,
  permits,
  replacedScopes,
  type Scope,
  scopesBeyond,
  type ServiceScope,
} from "./scopes.ts";
export {
  formatServiceCredentials,
  parseServiceCredentials,
  SERVICE_CALLERS,
  SERVICE_CREDENTIALS_RULE,
  type ServiceCaller,
  type ServiceCredentials,
} from "./service-credentials.ts";
export {
  mintToken,
  mintServiceToken,
  parseToken,
  type ParsedToken,
  type TokenKind,
  type TokenMode,
  tokenPrefix,
} from "./token.ts";
