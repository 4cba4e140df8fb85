import { type RefObject, useEffect, useRef } from "react";

/** Moves the focus to the first invalid field whenever `faults` change. Returns the ref for the form. */
export function useInvalidFocus(faults: unknown): RefObject<HTMLFormElement | null> {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (faults === undefined || faults === null) return;
    form.current?.querySelector<HTMLElement>('[aria-invalid="true"]:enabled')?.focus();
  }, [faults]);
  return form;
}
