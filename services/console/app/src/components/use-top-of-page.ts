import { useEffect, useLayoutEffect, useRef } from "react";
import { useLocation, useSearch } from "wouter";

/** Id of the element with the content of the page. */
export const CONTENT_ID = "content";

/**
 * Shows each page that is opened by a link from its top, and moves the focus there: the link is gone. On the way back the browser restores
 * the position; changed filters leave it as it is.
 */
export function useTopOfPage(): void {
  // Each change of the address renders, and the effect below follows.
  useLocation();
  useSearch();
  const isOpened = useRef(false);
  useEffect(() => {
    // The router reports each change of the address by one of these events, before it renders the page.
    const changes = ["pushState", "replaceState", "popstate"];
    const note = ({ type }: Event): void => void (isOpened.current = type === "pushState");
    for (const change of changes) window.addEventListener(change, note);
    return () => {
      for (const change of changes) window.removeEventListener(change, note);
    };
  }, []);
  useLayoutEffect(() => {
    if (!isOpened.current) return;
    isOpened.current = false;
    window.scrollTo(0, 0);
    document.getElementById(CONTENT_ID)?.focus({ preventScroll: true });
  });
}
