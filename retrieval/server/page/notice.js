// What has just been done, for a while, with a way to undo it.

import { html, useEffect } from "./vendor/htm-preact-standalone.js";

const SHOWN_MS = 12000;

export function Notice({ words, notice, onClose }) {
  useEffect(() => {
    if (!notice) return undefined;
    const due = setTimeout(onClose, SHOWN_MS);
    return () => clearTimeout(due);
  }, [notice]);
  const undo = async () => {
    onClose();
    await notice.undo();
  };
  return html`
    <div class="notice" role="status">
      ${notice && html`<p><span>${notice.text}</span>${notice.undo && html` <button type="button" onclick=${undo}>${words.undo}</button>`}</p>`}
    </div>
  `;
}
