import styles from "./clipped.module.css";

/** Text of a client in one line, e.g. a model: cut at the end of its place, whole on hover, and with a direction of its own. */
export function Clipped({ text }: { readonly text: string }) {
  if (text === "") return <>–</>;
  return (
    <bdi className={styles.clipped} title={text}>
      {text}
    </bdi>
  );
}
