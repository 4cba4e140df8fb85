export { constantTimeEqual, hashSecret, type Pepper, type Peppers, parsePeppers } from "./hash.ts";
export { bearerToken } from "./header.ts";
export { holdsToken, redactTokens } from "./redact.ts";
export {
  ALL_OPERATOR_SCOPES,
  ALL_SCOPES,
  effectiveScopes,
  type OperatorScope,
  parseOperatorScopes,
  type ParsedScopes,
  parseScopes,
  permits,
  type Scope,
  scopesBeyond,
} from "./scopes.ts";
export {
  mintToken,
  mintServiceToken,
  parseToken,
  type ParsedToken,
  type TokenKind,
  type TokenMode,
  tokenPrefix,
} from "./token.ts";
