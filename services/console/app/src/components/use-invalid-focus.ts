import { type RefObject, useEffect, useRef } from "react";

/** Moves the focus to the first field at fault whenever faults arrive. Returns the reference of the form. */
export function useInvalidFocus(faults: unknown): RefObject<HTMLFormElement | null> {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (faults === undefined || faults === null) return;
    form.current?.querySelector<HTMLElement>('[aria-invalid="true"]:enabled')?.focus();
  }, [faults]);
  return form;
}
