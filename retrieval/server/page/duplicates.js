// Copies among the pictures, in groups, the best copy first and why; decisions where the server lets clients write.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import * as api from "./api.js";
import { Trouble, Working, useBackground } from "./views.js";
import { toAddress } from "./state.js";

const PAGE = 50;
const CLASSES = ["bytes", "picture", "moment"];

export function View({ words, state, server, onGo, onNotice }) {
  const classes = state.classes;
  const key = JSON.stringify([state.collection, classes]);
  const answer = useBackground((signal, fresh) => api.duplicates({ classes, k: PAGE, fresh, collection: state.collection }, signal), key);
  if (answer.status === "failed") return html`<${Trouble} words=${words} error=${answer.error} onRetry=${answer.again} />`;
  if (answer.status === "running") return html`<${Working} words=${words} text=${words.findingDuplicates} done=${answer.done} total=${answer.total} />`;
  return html`<${Review} key=${key} words=${words} state=${state} first=${answer.found} canWrite=${server.writes} onAgain=${answer.again} onGo=${onGo} onNotice=${onNotice} />`;
}

function Review({ words, state, first, canWrite, onAgain, onGo, onNotice }) {
  const [groups, setGroups] = useState(() => first.groups.map(keyed));
  const [next, setNext] = useState(first.next);
  const [error, setError] = useState(null);
  const isReading = useRef(false);
  const end = useRef(null);
  const list = useRef(null);

  const more = async () => {
    if (next === null || isReading.current) return;
    isReading.current = true;
    try {
      const page = await api.duplicates({ classes: state.classes, k: PAGE, offset: next, generation: first.generation, collection: state.collection });
      if (page.status === "running") return onAgain(); // another process of the server, or a new one, has to find them first
      setGroups((now) => [...now, ...page.groups.map(keyed)]);
      setNext(page.next);
      setError(null);
    } catch (failed) {
      setError(failed.message);
    } finally {
      isReading.current = false;
    }
  };
  useEffect(() => {
    const observer = new IntersectionObserver(([seen]) => seen.isIntersecting && more(), { rootMargin: "1500px" });
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [next]);

  /** Change what the server holds, take the copies away here, and offer to undo both. */
  const decide = async (group, gone, change, undo, text) => {
    try {
      await change();
      const at = groups.indexOf(group);
      const left = group.copies.filter((copy) => !gone.includes(copy));
      const isOpen = left.length > 1;
      setGroups((now) => now.flatMap((one) => (one !== group ? [one] : isOpen ? [{ ...group, copies: left }] : [])));
      requestAnimationFrame(() => focusGroup(list.current, isOpen ? at : Math.min(at, groups.length - 2)));
      onNotice({
        text,
        undo: async () => {
          await undo();
          setGroups((now) => (isOpen ? now.map((one) => (one.key === group.key ? group : one)) : [...now.slice(0, at), group, ...now.slice(at)]));
          requestAnimationFrame(() => focusGroup(list.current, at));
        },
      });
    } catch (failed) {
      onNotice({ text: failed.message === "offline" ? words.offline : failed.message });
    }
  };
  const ids = (copies) => copies.map((copy) => copy.id);
  const keep = (group) =>
    decide(group, group.copies, () => api.keepDuplicates(ids(group.copies), state.collection), () => api.forgetDuplicates(ids(group.copies), state.collection), words.keptAll);
  const hide = (group, copies) =>
    decide(group, copies, () => api.hide(ids(copies), state.collection), () => api.unhide(ids(copies), state.collection), words.hidden(copies.length));

  const onKeyDown = (event) => {
    const place = event.target.closest?.(".copy");
    if (!place || event.altKey || event.ctrlKey || event.metaKey) return;
    const [at, number] = [Number(place.dataset.group), Number(place.dataset.copy)];
    const group = groups[at];
    const moves = { ArrowLeft: [at, number - 1], ArrowRight: [at, number + 1], ArrowUp: [at - 1, 0], ArrowDown: [at + 1, 0] };
    if (moves[event.key]) {
      event.preventDefault();
      focusGroup(list.current, ...moves[event.key]);
    } else if (canWrite && event.key === "x") hide(group, [group.copies[number]]);
    else if (canWrite && event.key === "k") keep(group);
    else if (canWrite && event.key === "o") hide(group, group.copies.slice(1));
  };
  const toggle = (one) => {
    const chosen = state.classes.includes(one) ? state.classes.filter((other) => other !== one) : [...state.classes, one];
    onGo({ ...state, classes: chosen });
  };
  const counted = CLASSES.filter((one) => first.classes[one]);
  return html`
    <div class="heading">
      <h1>${words.views.duplicates}</h1>
      <p role="status">${first.total ? words.duplicateGroups(first.total, first.images) : words.noDuplicates(first.images)}</p>
      <div class="choices">
        ${counted.length > 1 && html`
          <fieldset class="kinds">
            <legend>${words.duplicateClass}</legend>
            ${counted.map((one) => html`
              <label key=${one} class=${state.classes.includes(one) ? "chosen" : ""}>
                <input type="checkbox" checked=${state.classes.includes(one)} onchange=${() => toggle(one)} />
                ${words.classes[one]} <small>${first.classes[one]}</small>
              </label>
            `)}
          </fieldset>
        `}
      </div>
    </div>
    ${!first.current && html`<p class="warning">${words.changedSince} <button type="button" class="link" onclick=${onAgain}>${words.lookAgain}</button></p>`}
    ${first.failed > 0 && html`<p class="quiet">${words.notLookedAt(first.failed)}</p>`}
    ${groups.length > 0 && html`<p class="quiet">${canWrite ? words.duplicateKeys : words.readOnly}</p>`}
    <ul class="groups" ref=${list} onkeydown=${onKeyDown}>
      ${groups.map((group, at) => html`<${Group} key=${group.key} words=${words} state=${state} group=${group} at=${at} canWrite=${canWrite} onKeep=${keep} onHide=${hide} onGo=${onGo} />`)}
    </ul>
    <div ref=${end}></div>
    ${error && html`<${Trouble} words=${words} error=${error} onRetry=${more} heading="h2" />`}
    ${!groups.length && next === null && html`<div class="empty"><h2>${words.noDuplicatesLeft}</h2><p>${words.noDuplicatesMore}</p></div>`}
  `;
}

const keyed = (group) => ({ ...group, key: `${group.class} ${group.copies[0].id}` });

function focusGroup(list, at, number = 0) {
  const copy = list.querySelector(`[data-group="${at}"][data-copy="${number}"]`);
  copy?.focus({ preventScroll: true });
  copy?.scrollIntoView({ block: "nearest" });
}

function Group({ words, state, group, at, canWrite, onKeep, onHide, onGo }) {
  const why = words.bestBecause[group.why] ?? group.why;
  return html`
    <li class="group">
      <div class="group-head">
        <h2>${words.classes[group.class]}</h2>
        <span class="quiet">${words.best(why)}</span>
        ${canWrite && html`
          <span class="actions">
            <button type="button" aria-keyshortcuts="k" onclick=${() => onKeep(group)}>${words.keepAll(group.copies.length)}</button>
            <button type="button" aria-keyshortcuts="o" onclick=${() => onHide(group, group.copies.slice(1))}>${words.hideOthers(group.copies.length - 1)}</button>
          </span>
        `}
      </div>
      <ul class="copies">
        ${group.copies.map((copy, number) => html`
          <li key=${copy.id} class=${copy.best ? "best" : ""}>
            <a
              class="copy"
              href=${toAddress({ ...state, open: copy.id })}
              data-group=${at}
              data-copy=${number}
              aria-label=${`${copy.best ? `${words.bestCopy}. ` : ""}${copy.name}, ${factsOf(words, copy).join(" · ")}`}
              onclick=${(event) => {
                if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                event.preventDefault();
                onGo({ ...state, open: copy.id }, { isOpened: true });
              }}
            >
              ${copy.missing ? html`<span class="unseen">${words.missing}</span>` : html`<img src=${api.thumbnail(copy, 240, state.collection)} alt="" loading="lazy" decoding="async" />`}
              ${copy.best && html`<span class="tag" aria-hidden="true">${words.bestCopy}</span>`}
            </a>
            <p title=${copy.path}>${copy.name}</p>
            ${copy.path && html`<p class="quiet" title=${copy.path}>…/${copy.path.split(/[\\/]/).at(-2)}/</p>`}
            <p class="quiet facts-of">${factsOf(words, copy).map((fact, at) => html`${at > 0 && " · "}<span key=${at}>${fact}</span>`)}</p>
            ${canWrite && html`<button type="button" class="link" aria-keyshortcuts="x" aria-label=${words.hideOne(copy.name)} onclick=${() => onHide(group, [copy])}>${words.hide}</button>`}
          </li>
        `)}
      </ul>
    </li>
  `;
}

function factsOf(words, copy) {
  const size = copy.width && `${copy.width} × ${copy.height}`;
  const taken = copy.taken && copy.taken.slice(0, 10);
  return [size, copy.bytes && words.bytes(copy.bytes), taken].filter(Boolean);
}
