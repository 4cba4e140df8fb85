import { BindingMode } from "@routeplane/contracts/policy";
import { Badge } from "../../components/badge.tsx";

/** Badge with the mode of a binding. */
export function ModeBadge({ mode }: { readonly mode: BindingMode }) {
  return mode === BindingMode.SHADOW ? <Badge>shadow</Badge> : <Badge kind="good">enforced</Badge>;
}
