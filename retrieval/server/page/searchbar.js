// The box for words, the pictures and words of a sum as chips with weights, and how a sentence was read.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { thumbnail, uploadThumbnail } from "./api.js";

const WEIGHTS = [2, 1, 0.5, -0.5, -1];

export function SearchBar({ words, state, box, onSearch, onFile }) {
  const [draft, setDraft] = useState(state.text);
  const file = useRef(null);
  useEffect(() => setDraft(state.text), [state.text]);

  const submit = (event) => {
    event.preventDefault();
    onSearch({ ...state, text: draft.trim(), literal: draft.trim() === state.text && state.literal });
  };
  const choose = (event) => {
    const [chosen] = event.target.files;
    event.target.value = "";
    if (chosen) onFile(chosen);
  };
  return html`
    <form class="search" role="search" onsubmit=${submit}>
      <input
        ref=${box}
        type="search"
        name="q"
        value=${draft}
        maxlength="4000"
        placeholder=${words.placeholder}
        aria-label=${words.searchLabel}
        autocomplete="off"
        enterkeyhint="search"
        oninput=${(event) => setDraft(event.target.value)}
        onkeydown=${(event) => event.key === "Escape" && event.target.blur()}
      />
      <input ref=${file} type="file" accept="image/*" hidden onchange=${choose} />
      <button type="button" class="icon" title=${words.choosePicture} aria-label=${words.choosePicture} onclick=${() => file.current.click()}>
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 8h3l2-3h6l2 3h3v11H4z" /><circle cx="12" cy="13" r="3.5" /></svg>
      </button>
      <button class="primary">${words.search}</button>
    </form>
  `;
}

export function Sum({ words, state, onSearch }) {
  const [draft, setDraft] = useState("");
  const change = (at, part) => {
    const parts = state.parts.flatMap((old, number) => (number === at ? (part === null ? [] : [part]) : [old]));
    onSearch({ ...state, parts });
  };
  const add = (event) => {
    event.preventDefault();
    const isAvoided = /^[-−]\S/.test(draft.trim());
    const text = draft.trim().replace(/^[-−]/, "").trim();
    setDraft("");
    if (text) onSearch({ ...state, parts: [...state.parts, { text, weight: isAvoided ? -0.5 : 1 }] });
  };
  return html`
    <section class="sum" aria-label=${words.sum}>
      ${state.text && html`<span class="quiet">${words.plus}</span>`}
      <ul>
        ${state.parts.map((part, at) => html`
          <${Chip} key=${JSON.stringify({ ...part, weight: at })} words=${words} state=${state} part=${part} onChange=${(found) => change(at, found)} />
        `)}
      </ul>
      <form onsubmit=${add}>
        <input
          value=${draft}
          maxlength="4000"
          placeholder=${words.addWords}
          aria-label=${words.addWordsLabel}
          autocomplete="off"
          oninput=${(event) => setDraft(event.target.value)}
        />
      </form>
    </section>
  `;
}

function Chip({ words, state, part, onChange }) {
  const [isBroken, setBroken] = useState(false); // a text, or a picture that is gone
  const name = part.text ?? (part.upload ? words.yourPicture : words.picture);
  const source = part.upload
    ? uploadThumbnail(part.upload)
    : part.item && thumbnail({ id: part.item }, 240, state.collection);
  const weights = WEIGHTS.includes(part.weight) ? WEIGHTS : [part.weight, ...WEIGHTS];
  const sign = (weight) => `${weight < 0 ? "−" : "×"}${Math.abs(weight)}`;
  return html`
    <li class=${part.weight < 0 ? "chip avoided" : "chip"}>
      ${source && !isBroken && html`<img src=${source} alt=${name} onerror=${() => setBroken(true)} />`}
      ${(part.text || isBroken) && html`<span>${part.text ?? words.unseenPart}</span>`}
      <select aria-label=${words.weight(name)} onchange=${(event) => onChange({ ...part, weight: Number(event.target.value) })}>
        ${weights.map((weight) => html`<option value=${weight} selected=${weight === part.weight}>${sign(weight)}</option>`)}
      </select>
      <button type="button" class="icon small" aria-label=${words.remove(name)} onclick=${() => onChange(null)}>
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d="m6 6 12 12M18 6 6 18" /></svg>
      </button>
    </li>
  `;
}

/** How sentences were read, where they exclude something. */
export function Reading({ words, state, readings, onSearch }) {
  if (!readings.length && !state.literal) return null;
  return html`
    <p class="reading">
      ${readings.map((one) => html`
        <span>
          ${words.read} <b>${one.wanted}</b>${words.comma}${words.without} ${one.unwanted.map((text) => html`<b class="avoided">${text}</b>${" "}`)}
        </span>
      `)}
      <button type="button" class="link" onclick=${() => onSearch({ ...state, literal: !state.literal })}>
        ${state.literal ? words.again : words.literally}
      </button>
    </p>
  `;
}
