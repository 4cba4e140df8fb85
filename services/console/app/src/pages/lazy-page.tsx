import { type ComponentType, useEffect, useState } from "react";
import { Skeleton } from "../components/skeleton.tsx";
import { loadPatiently } from "./load-patiently.ts";

/**
 * Creates a page whose script is loaded when the page is first opened. If loading fails, rendering the page throws. Unlike this, React's
 * `lazy` shows its placeholder for at least 300 ms, however fast the script loads.
 */
export function lazyPage<Props extends object>(load: () => Promise<{ readonly default: ComponentType<Props> }>) {
  let loaded: ComponentType<Props> | undefined;
  return function LazyPage(props: Props) {
    const [Page, setPage] = useState(() => loaded);
    const [fault, setFault] = useState<Error>();
    useEffect(() => {
      if (Page !== undefined) return;
      const show = (page: ComponentType<Props>): void => {
        loaded = page;
        setPage(() => page);
      };
      loadPatiently(load).then((module) => show(module.default), setFault);
    }, [Page]);
    if (fault !== undefined) throw fault;
    return Page === undefined ? <Skeleton lines={6} /> : <Page {...props} />;
  };
}
