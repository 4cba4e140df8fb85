import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import styles from "./dialog.module.css";

interface DialogProps {
  readonly title: ReactNode;
  /** Called when the person closes the dialog, also by Escape. It stays open until it is no longer rendered. */
  readonly onClose: () => void;
  readonly children: ReactNode;
}

/** Modal dialog of the browser, which traps the focus and restores it afterwards. Render it while it is open. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Not `useEffect`, whose cleanup runs after the dialog was removed from the page: then closing it would not restore the focus.
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  // A browser always closes the dialog at the second Escape in a row. It is reopened if the page still renders it.
  const onClosed = (): void => {
    const element = dialog.current;
    if (element === null || element.open) return;
    onClose();
    requestAnimationFrame(() => {
      if (element.isConnected && !element.open) element.showModal();
    });
  };
  return (
    <dialog
      ref={dialog}
      className={styles.dialog}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClose={onClosed}
    >
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

/** Row of buttons at the end of a dialog, the main one last. */
export function DialogActions({ children }: { readonly children: ReactNode }) {
  return <div className={styles.actions}>{children}</div>;
}
