// Conditions that narrow down what is found: values of fields to choose from, and a line in the language of --where.

import { html, useEffect, useState } from "./vendor/htm-preact-standalone.js";
import * as api from "./api.js";
import { conditionList, withoutConditions } from "./conditions.js";
import { TimeBar } from "./timebar.js";

const toggled = (values, value) => (values.includes(value) ? values.filter((one) => one !== value) : [...values, value]);

const shortened = (field, value) => (field === "folder" ? `…/${value.split("/").at(-1)}` : value);

/** The most frequent first, but years the latest first. */
const inOrder = (field, values) => (field === "year" ? [...values].sort((one, other) => (one.value < other.value ? 1 : -1)) : values);

const ELSEWHERE = ["area", "mode", "only", "least"]; // conditions that the filters below have no place for

/** What narrows the results down, as chips that can be taken away; of all but the filters where these are shown. */
export function Chosen({ words, state, areFiltersShown, onSearch }) {
  const conditions = conditionList(state).filter(({ field }) => !areFiltersShown || ELSEWHERE.includes(field));
  if (!conditions.length) return null;
  return html`
    <ul class="conditions" aria-label=${words.filters}>
      ${conditions.map(({ field, value, without }) => {
        const said = words.chosen[field]?.(value) ?? (field === "time" ? words.months(...value) : shortened(field, value));
        return html`
          <li key=${`${field} ${value}`} class="chip" title=${field === "folder" ? value : null}>
            <span>${said}</span>
            <button type="button" class="icon small" aria-label=${words.remove(said)} onclick=${() => onSearch(without)}>
              <svg viewBox="0 0 24 24" aria-hidden="true"><path d="m6 6 12 12M18 6 6 18" /></svg>
            </button>
          </li>
        `;
      })}
      ${conditions.length > 1 && html`<li><button type="button" class="link" onclick=${() => onSearch(withoutConditions(state))}>${words.clear}</button></li>`}
    </ul>
  `;
}

export function Filters({ words, state, onSearch }) {
  const [facets, setFacets] = useState(null);
  const [draft, setDraft] = useState(state.where);
  useEffect(() => setDraft(state.where), [state.where]);
  useEffect(() => {
    api.facets(state).then(({ facets: found }) => setFacets(found), () => setFacets({}));
  }, [state.where, state.collection, state.find]);

  const submit = (event) => {
    event.preventDefault();
    onSearch({ ...state, where: draft.trim() });
  };
  const choose = (field, value) =>
    onSearch({ ...state, chosen: { ...state.chosen, [field]: toggled(state.chosen[field] ?? [], value) } });
  return html`
    <section class="filters" id="filters" aria-label=${words.filters}>
      ${facets?.year && html`<${TimeBar} words=${words} state=${state} onSearch=${onSearch} />`}
      ${Object.entries(facets ?? {}).map(([field, values]) => (values.length > 1 || state.chosen[field]?.length) && html`
        <fieldset key=${field}>
          <legend>${words.fields[field] ?? field}</legend>
          <div>
            ${inOrder(field, values).map(({ value, count }) => html`
              <label key=${value} title=${value} class=${state.chosen[field]?.includes(value) ? "chosen" : ""}>
                <input type="checkbox" checked=${state.chosen[field]?.includes(value) ?? false} onchange=${() => choose(field, value)} />
                <span>${shortened(field, value)}</span> <small>${count}</small>
              </label>
            `)}
          </div>
        </fieldset>
      `)}
      <form onsubmit=${submit}>
        <label for="where">${words.condition}</label>
        <input id="where" value=${draft} maxlength="5000" placeholder="width >= 4000 and not name starts with IMG" autocomplete="off" spellcheck=${false} oninput=${(event) => setDraft(event.target.value)} />
        <button>${words.apply}</button>
        ${conditionList(state).length > 0 && html`<button type="button" onclick=${() => onSearch(withoutConditions(state))}>${words.clear}</button>`}
      </form>
    </section>
  `;
}
