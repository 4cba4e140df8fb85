export { adviceOf, reasonOf, type RequestEnd } from "./explanation.ts";
export { type LimitUnit, limitUnitOf } from "./limit-unit.ts";
