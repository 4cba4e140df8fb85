import { type ComponentType, useEffect, useState } from "react";
import { Skeleton } from "../components/skeleton.tsx";
import { reloadForScript } from "./reload-for-script.ts";

/**
 * Creates a page whose script is loaded when the page is first opened. If that fails even after a reload, rendering the page throws.
 * Unlike this, React's `lazy` shows its placeholder for at least 300 ms, however fast the script loads.
 */
export function lazyPage<Props extends object>(load: () => Promise<{ readonly default: ComponentType<Props> }>) {
  let loaded: ComponentType<Props> | undefined;
  return function LazyPage(props: Props) {
    const [Page, setPage] = useState(() => loaded);
    const [fault, setFault] = useState<Error>();
    useEffect(() => {
      if (Page !== undefined) return;
      const left = new AbortController();
      const show = (page: ComponentType<Props>): void => {
        loaded = page;
        setPage(() => page);
      };
      load()
        .then(
          (module) => show(module.default),
          (error: Error) => reloadForScript(error, left.signal),
        )
        .catch(setFault);
      return () => left.abort();
    }, [Page]);
    if (fault !== undefined) throw fault;
    return Page === undefined ? <Skeleton lines={6} /> : <Page {...props} />;
  };
}
