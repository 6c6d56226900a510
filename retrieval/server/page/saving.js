// Keep the search that is shown as an album; only where the server lets clients write.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import * as api from "./api.js";

export const LONGEST_NAME = 200;

/** Names that an album can get: neither "." nor "..", which no address can hold. */
export const NAMES = "(?!\\s*\\.{1,2}\\s*$).*";

export function SaveAlbum({ words, state, onNotice, onClose }) {
  const [name, setName] = useState(state.text.slice(0, LONGEST_NAME));
  const [trouble, setTrouble] = useState(null); // {text, taken}: the name that is taken, if that is it
  const [isSaving, setSaving] = useState(false);
  const box = useRef(null);
  const wanted = name.trim();
  const isTaken = trouble !== null && trouble.taken === wanted;
  const lost = state.area ? words.noAreaInAlbum : state.parts.some((part) => part.upload) ? words.noUploadInAlbum : null;
  useEffect(() => {
    box.current?.focus();
    box.current?.select();
  }, []);

  const save = async (event) => {
    event.preventDefault();
    if (!wanted || isSaving) return;
    setSaving(true);
    try {
      await api.saveAlbum(wanted, state, isTaken);
      onNotice({ text: words.albumSaved(wanted) });
      onClose();
    } catch (error) {
      setSaving(false);
      setTrouble(
        error.status === 412 ? { text: words.albumTaken(wanted), taken: wanted } : { text: error.message === "offline" ? words.offline : error.message },
      );
    }
  };
  if (lost) return html`<p class="warning saving" role="alert" id="saving">${lost}</p>`;
  return html`
    <form class="saving" id="saving" aria-label=${words.saveAlbum} onsubmit=${save} onkeydown=${(event) => event.key === "Escape" && onClose()}>
      <label for="album-name">${words.albumName}</label>
      <input id="album-name" ref=${box} value=${name} maxlength=${LONGEST_NAME} pattern=${NAMES} title=${words.notDots} required autocomplete="off" oninput=${(event) => setName(event.target.value)} />
      <button class="primary" disabled=${isSaving}>${isTaken ? words.replace : words.save}</button>
      <button type="button" onclick=${onClose}>${words.cancel}</button>
      ${trouble && html`<p class="warning" role="alert">${trouble.text}</p>`}
    </form>
  `;
}
