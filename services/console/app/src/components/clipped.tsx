import styles from "./clipped.module.css";

/** Text of a client on one line, e.g. a model: truncated to its space, whole on hover, and with its own writing direction. */
export function Clipped({ text }: { readonly text: string }) {
  if (text === "") return <>–</>;
  return (
    <bdi className={styles.clipped} title={text}>
      {text}
    </bdi>
  );
}
