// One item, large: zoom, captions, attributes, the way to its neighbours and on to what is like it.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { allParts, original, thumbnail } from "./api.js";
import { Frame, Overlay, Reasons, useExplanation } from "./explanation.js";
import { hasScore } from "./numbers.js";

const LARGE = 1600;

export function Detail({ words, state, hit, at, all, hasMore, onClose, onStep, onSearch, onSimilar, onWhy, onHide, onFolder, children }) {
  const dialog = useRef(null);
  useEffect(() => {
    const element = dialog.current;
    element.showModal();
    return () => element.close();
  }, []);
  useEffect(() => {
    // the dialog itself, so that the arrows work at once, and when what had the focus has gone with its picture
    if (!dialog.current.contains(document.activeElement) || document.activeElement.closest(".stage")) dialog.current.focus();
  }, [hit.id]);

  const canExplain = allParts(state).length > 0;
  const explanation = useExplanation(state, hit, state.why && canExplain);

  const onKeyDown = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      event.preventDefault();
      onClose();
    } else if (event.key === "ArrowLeft" && !event.target.closest?.(".stage.zoomed")) onStep(-1);
    else if (event.key === "ArrowRight" && !event.target.closest?.(".stage.zoomed")) onStep(1);
    else if (event.key === "s") onSimilar(hit);
    else if (event.key === "e" && canExplain) onWhy(!state.why);
    else if (event.key === "x" && onHide) onHide(hit);
  };
  const with_ = (weight) => onSearch({ ...state, parts: [...state.parts, { item: hit.id, weight }], open: null });
  const title = hit.text ?? hit.captions[0]?.text ?? hit.name;
  return html`
    <dialog
      ref=${dialog}
      class="detail"
      tabindex="-1"
      aria-label=${title}
      onkeydown=${onKeyDown}
      oncancel=${(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      ${hit.kind === "image"
        ? html`<${Stage} key=${hit.id} words=${words} state=${state} hit=${hit} title=${title} explained=${explanation.found?.picture} />`
        : html`<blockquote class="stage text" lang=${hit.lang}>${hit.text}</blockquote>`}
      <nav class="steps" aria-label=${at >= 0 ? words.place(at + 1, all, hasMore) : title}>
        <button type="button" class="icon" disabled=${at <= 0} title=${words.previous} aria-label=${words.previous} onclick=${() => onStep(-1)}>
          <svg viewBox="0 0 24 24" aria-hidden="true"><path d="m15 5-7 7 7 7" /></svg>
        </button>
        <span class="quiet">${at >= 0 && words.place(at + 1, all, hasMore)}</span>
        <button type="button" class="icon" disabled=${at < 0 || (at + 1 >= all && !hasMore)} title=${words.next} aria-label=${words.next} onclick=${() => onStep(1)}>
          <svg viewBox="0 0 24 24" aria-hidden="true"><path d="m9 5 7 7-7 7" /></svg>
        </button>
        <button type="button" class="icon close" title=${words.close} aria-label=${words.close} onclick=${onClose}>
          <svg viewBox="0 0 24 24" aria-hidden="true"><path d="m6 6 12 12M18 6 6 18" /></svg>
        </button>
      </nav>
      <section class="facts" aria-label=${words.about}>
        <h2>${hit.name}${hit.moment && html` <span class="moment">${hit.moment}</span>`}</h2>
        <div class="actions">
          <button type="button" class="primary" onclick=${() => onSimilar(hit)}>${words.similar}</button>
          <button type="button" onclick=${() => with_(1)}>${words.add}</button>
          <button type="button" onclick=${() => with_(-0.5)}>${words.less}</button>
          ${onHide && html`<button type="button" aria-keyshortcuts="x" onclick=${() => onHide(hit)}>${words.hide}</button>`}
          ${canExplain && html`<button type="button" aria-pressed=${state.why} aria-keyshortcuts="e" onclick=${() => onWhy(!state.why)}>${words.why}</button>`}
        </div>
        ${explanation.status !== "off" && html`<${Reasons} words=${words} explanation=${explanation} />`}
        ${hit.region && !explanation.found?.picture && html`<p class="quiet by-region">${words.byRegion}</p>`}
        ${hit.missing && html`<p class="warning">${words.missing}</p>`}
        ${hit.captions.length > 0 && html`
          <h3>${words.captions}</h3>
          <ul class="captions">
            ${hit.captions.map((caption) => html`
              <li key=${caption.id}>
                <button
                  type="button"
                  class="link"
                  lang=${caption.lang}
                  title=${words.searchCaption(caption.text)}
                  onclick=${() => onSearch({ ...state, text: caption.text, parts: [], open: null })}
                >${caption.text}</button>
              </li>
            `)}
          </ul>
        `}
        ${hit.texts.map((text) => html`
          <h3 key=${text.origin} title=${text.maker}>${words.origins[text.origin]}</h3>
          <p class="other-text" tabindex="0" role="group" aria-label=${words.origins[text.origin]}>${text.text}</p>
        `)}
        <${Facts} words=${words} state=${state} hit=${hit} onFolder=${onFolder} />
      </section>
      ${children}
    </dialog>
  `;
}

function Stage({ words, state, hit, title, explained }) {
  const [isZoomed, setZoomed] = useState(false);
  const [status, setStatus] = useState("loading");
  const [size, setSize] = useState(null); // of the image as it was sent
  const [hasOriginal, setOriginal] = useState(true);
  const source = isZoomed && hasOriginal ? original(hit, state.collection) : thumbnail(hit, LARGE, state.collection);
  const onError = () => (isZoomed && hasOriginal ? setOriginal(false) : setStatus("broken"));
  const onLoad = ({ target }) => {
    setStatus("shown");
    setSize({ width: target.naturalWidth, height: target.naturalHeight });
  };
  const isExplained = explained && !isZoomed && status === "shown";
  const isFramed = hit.region && !explained && !isZoomed && status === "shown";
  const label = isZoomed ? words.fit : words.zoom;
  return html`
    <figure class=${`stage ${status} ${isZoomed ? "zoomed" : ""} ${isExplained ? "explained" : ""}`} tabindex=${isZoomed ? 0 : null} aria-label=${title}>
      <img src=${source} alt=${title} onload=${onLoad} onerror=${onError} onclick=${() => setZoomed(!isZoomed)} />
      ${isExplained && html`<${Overlay} words=${words} picture=${explained} ...${size} />`}
      ${isFramed && html`<${Frame} words=${words} region=${hit.region} ...${size} />`}
      ${status === "broken"
        ? html`<p class="unseen">${hit.missing ? words.missing : words.unseen}</p>`
        : html`<button type="button" class="icon zoom" title=${label} aria-label=${label} aria-pressed=${isZoomed} onclick=${() => setZoomed(!isZoomed)}>
            <svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="10.5" cy="10.5" r="6" /><path d="m15 15 5 5M8 10.5h5" /><path d=${isZoomed ? "" : "M10.5 8v5"} /></svg>
          </button>`}
    </figure>
  `;
}

/** A value of an attribute for people: lists with commas, and a moment without the letter between day and hour. */
const shown = (value) => (Array.isArray(value) ? value.join(", ") : String(value).replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?/, "$1 $2"));

function Facts({ words, state, hit, onFolder }) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => setCopied(false), [hit.id]);
  const copy = async () => {
    await navigator.clipboard.writeText(hit.path);
    setCopied(true);
  };
  return html`
    <h3>${words.about}</h3>
    <dl>
      ${hasScore(hit) && html`<dt>${words.score}</dt><dd>${hit.cosine.toFixed(4)}</dd>`}
      ${hasScore(hit) && Object.entries(hit.ranks ?? {}).map(([source, rank]) => html`<dt>${words.ranks[source]}</dt><dd>${rank}</dd>`)}
      ${hit.width && html`<dt>${words.size}</dt><dd>${words.pixels(hit.width, hit.height)}</dd>`}
      ${hit.key && html`<dt>${words.key}</dt><dd>${hit.key}</dd>`}
      ${Object.entries(hit.attributes).filter(([name]) => !hit.texts.some((text) => text.origin === name)).map(([name, value]) => html`<dt>${words.fields[name] ?? name}</dt><dd>${shown(value)}</dd>`)}
      ${hit.path && html`<dt>${words.file}</dt><dd class="path">${hit.path}</dd>`}
    </dl>
    <p class="actions">
      ${hit.kind === "image" && html`<a class="link" href=${original(hit, state.collection)} target="_blank" rel="noreferrer">${words.original}</a>`}
      ${hit.path && navigator.clipboard && html`<button type="button" class="link" onclick=${copy}>${isCopied ? words.copied : words.copy}</button>`}
      ${hit.path && onFolder && html`<button type="button" class="link" onclick=${() => onFolder(hit)}>${words.openFolder}</button>`}
    </p>
  `;
}
