// Albums: searches that the collection keeps under names. Each is a link to what it finds now.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import * as api from "./api.js";
import { LONGEST_NAME, NAMES } from "./saving.js";
import { EMPTY, toAddress } from "./state.js";
import { Trouble } from "./views.js";

const COVERS = 4; // pictures of each

export function View({ words, state, server, onSearch, onNotice }) {
  const [answer, setAnswer] = useState({ status: "loading" });
  const [tries, setTries] = useState(0);
  const again = () => setTries(tries + 1);
  useEffect(() => {
    api.albums(state.collection).then(
      ({ albums }) => setAnswer({ status: "done", albums }),
      (error) => setAnswer({ status: "failed", error: error.message }),
    );
  }, [state.collection, tries]);
  if (answer.status === "failed") return html`<${Trouble} words=${words} error=${answer.error} onRetry=${again} />`;
  if (answer.status === "loading") return html`<p class="quiet" role="status">${words.loading}</p>`;
  if (!answer.albums.length) return html`<div class="empty"><h1>${words.noAlbums}</h1><p>${server.writes ? words.noAlbumsHere : words.noAlbumsMore}</p>${!server.writes && html`<code>${ALBUM_COMMAND}</code>`}</div>`;
  return html`
    <div class="heading">
      <h1>${words.views.albums}</h1>
      <p role="status">${words.albumCount(answer.albums.length)}</p>
    </div>
    <ul class="albums">
      ${answer.albums.map((album) => html`<${Album} key=${album.name} words=${words} album=${album} collection=${state.collection} canWrite=${server.writes} onSearch=${onSearch} onNotice=${onNotice} onChange=${again} />`)}
    </ul>
  `;
}

const ALBUM_COMMAND = 'vlsearch album save beach "people on a beach" --after 2021';

function Album({ words, album, collection, canWrite, onSearch, onNotice, onChange }) {
  const [covers, setCovers] = useState(null); // null until they are known
  const target = stateOf(album.search, collection);
  const canAsk = album.search.parts.length > 0;
  useEffect(() => {
    if (!canAsk) return undefined;
    const abort = new AbortController();
    api.albumHits(album.search, COVERS, collection, abort.signal).then(({ hits }) => setCovers(hits), (error) => error.name !== "AbortError" && setCovers([]));
    return () => abort.abort();
  }, []);
  const follow = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onSearch(target);
  };
  const inside = html`
    <span class="covers" aria-hidden="true">
      ${(covers ?? []).map((hit) => (hit.kind === "text" ? html`<span key=${hit.id}>${hit.text}</span>` : html`<img key=${hit.id} src=${api.thumbnail(hit, 240, collection)} alt="" loading="lazy" />`))}
    </span>
    <h2>${album.name}</h2>
  `;
  return html`
    <li>
      ${canAsk ? html`<a class="album" href=${toAddress(target)} onclick=${follow}>${inside}</a>` : html`<div class="album">${inside}</div>`}
      <p class="quiet">${describe(words, album.search)}</p>
      ${album.missing.length > 0 && html`<p class="warning">${words.albumMissing(album.missing.join(", "))}</p>`}
      ${covers?.length === 0 && html`<p class="quiet">${words.noHits}</p>`}
      ${canWrite && html`<${Changes} words=${words} name=${album.name} collection=${collection} onNotice=${onNotice} onChange=${onChange} />`}
    </li>
  `;
}

/** Rename an album, or delete it: each asks in place before anything is done. */
function Changes({ words, name, collection, onNotice, onChange }) {
  const [asking, setAsking] = useState(null); // "rename" | "delete"
  const [draft, setDraft] = useState(name);
  const [trouble, setTrouble] = useState(null);
  const first = useRef(null); // what has the focus while it asks
  const opener = useRef(null);
  useEffect(() => {
    if (!asking) return;
    first.current.focus();
    first.current.select?.();
  }, [asking]);
  const cancel = () => {
    setAsking(null);
    setTrouble(null);
    requestAnimationFrame(() => opener.current?.focus());
  };
  const apply = async (event) => {
    event.preventDefault();
    const other = draft.trim();
    try {
      if (asking === "delete") await api.deleteAlbum(name, collection);
      else await api.renameAlbum(name, other, collection);
      onNotice({ text: asking === "delete" ? words.albumDeleted(name) : words.albumRenamed(other) });
      document.getElementById("results").focus(); // what has it now is gone with the old name
      onChange();
    } catch (error) {
      setTrouble(error.status === 409 ? words.albumTaken(other) : error.message === "offline" ? words.offline : error.message);
    }
  };
  const ask = (what) => () => {
    setDraft(name);
    setAsking(what);
  };
  if (!asking) {
    return html`
      <p class="actions">
        <button type="button" class="link" ref=${opener} aria-label=${words.renameOne(name)} onclick=${ask("rename")}>${words.rename}</button>
        <button type="button" class="link" aria-label=${words.deleteOne(name)} onclick=${ask("delete")}>${words.delete}</button>
      </p>
    `;
  }
  return html`
    <form class="saving" onsubmit=${apply} onkeydown=${(event) => event.key === "Escape" && cancel()}>
      ${asking === "rename"
        ? html`<input ref=${first} value=${draft} maxlength=${LONGEST_NAME} pattern=${NAMES} title=${words.notDots} required aria-label=${words.albumName} autocomplete="off" oninput=${(event) => setDraft(event.target.value)} />`
        : html`<p>${words.deleteSure(name)}</p>`}
      <button ref=${asking === "delete" ? first : null} class="primary">${asking === "rename" ? words.rename : words.delete}</button>
      <button type="button" onclick=${cancel}>${words.cancel}</button>
      ${trouble && html`<p class="warning" role="alert">${trouble}</p>`}
    </form>
  `;
}

const describe = (words, { parts, where }) =>
  [...parts.map((part) => `${part.weight < 0 ? "\u2212" : ""}${part.text ?? words.picture}`), ...(where ? [where] : [])].join(" · ");

/** The state of the page that asks what an album asks. */
function stateOf(search, collection) {
  const [first, ...rest] = search.parts;
  const isPlain = first?.text !== undefined && first.weight === 1;
  const kind = search.parts.some((part) => part.text !== undefined) ? "image" : "text"; // as the engine chooses it
  return {
    ...EMPTY,
    collection,
    text: isPlain ? first.text : "",
    parts: isPlain ? rest : search.parts,
    literal: search.literal,
    find: search.find ?? kind,
    where: search.where ?? "",
    sort: search.sort,
    mode: search.mode,
    only: search.only,
    least: search.min_score,
  };
}
