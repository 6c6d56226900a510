// Conditions that narrow down what is found: values of fields to choose from, and a line in the language of --where.

import { html, useEffect, useState } from "./vendor/htm-preact-standalone.js";
import * as api from "./api.js";
import { filterCount } from "./conditions.js";

const toggled = (values, value) => (values.includes(value) ? values.filter((one) => one !== value) : [...values, value]);

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
      ${Object.entries(facets ?? {}).map(([field, values]) => (values.length > 1 || state.chosen[field]?.length) && html`
        <fieldset key=${field}>
          <legend>${words.fields[field] ?? field}</legend>
          <div>
            ${values.map(({ value, count }) => html`
              <label key=${value} title=${value} class=${state.chosen[field]?.includes(value) ? "chosen" : ""}>
                <input type="checkbox" checked=${state.chosen[field]?.includes(value) ?? false} onchange=${() => choose(field, value)} />
                <span>${field === "folder" ? `…/${value.split("/").at(-1)}` : value}</span> <small>${count}</small>
              </label>
            `)}
          </div>
        </fieldset>
      `)}
      <form onsubmit=${submit}>
        <label for="where">${words.condition}</label>
        <input id="where" value=${draft} maxlength="5000" placeholder="width >= 4000 and not name starts with IMG" autocomplete="off" spellcheck=${false} oninput=${(event) => setDraft(event.target.value)} />
        <button>${words.apply}</button>
        ${filterCount(state) > 0 && html`<button type="button" onclick=${() => onSearch({ ...state, where: "", chosen: {} })}>${words.clear}</button>`}
      </form>
    </section>
  `;
}
