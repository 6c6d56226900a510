// A picture that is dropped anywhere on the page.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";

export function DropZone({ words, onFile }) {
  const [isOver, setOver] = useState(false);
  const drop = useRef(onFile);
  drop.current = onFile;
  useEffect(() => {
    const holdsFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const over = (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event) => event.relatedTarget === null && setOver(false);
    const dropped = (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      setOver(false);
      if (event.dataTransfer.files[0]) drop.current(event.dataTransfer.files[0]);
    };
    addEventListener("dragover", over);
    addEventListener("dragleave", leave);
    addEventListener("drop", dropped);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("dragleave", leave);
      removeEventListener("drop", dropped);
    };
  }, []);
  return isOver ? html`<div class="drop" role="status"><p>${words.drop}</p></div>` : null;
}
