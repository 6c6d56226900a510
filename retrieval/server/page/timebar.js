// How many pictures there are of each time, as bars; a drag or the two handles choose a span of them.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { areaText, facets } from "./api.js";
import { conditionOf } from "./conditions.js";
import { barsOf, barsWithin, spanOf, yearMarks } from "./periods.js";

const MOST_MARKS = 8;
const SETTLED_MS = 500; // of a handle that keys move, before the search follows

export function TimeBar({ words, state, onSearch }) {
  const [bars, setBars] = useState(null);
  const condition = conditionOf({ ...state, span: null });
  useEffect(() => {
    const abort = new AbortController();
    facets(state, { field: "month", most: 1000, where: condition || null, area: areaText(state) }, abort.signal).then(
      ({ facets: found }) => setBars(barsOf(found.month)),
      (error) => error.name !== "AbortError" && setBars(null),
    );
    return () => abort.abort();
  }, [condition, areaText(state), state.collection, state.find]);
  if (!bars || bars.counts.length < 2) return null;
  return html`<${Bars} words=${words} bars=${bars} state=${state} onSearch=${onSearch} />`;
}

function Bars({ words, bars, state, onSearch }) {
  const [draft, setDraft] = useState(null); // [from, to] as it is being chosen
  const plot = useRef(null);
  const due = useRef(0);
  useEffect(() => setDraft(null), [state.span, bars]);
  useEffect(() => () => clearTimeout(due.current), []);

  const last = bars.counts.length - 1;
  const [from, to] = draft ?? barsWithin(bars, state.span);
  const most = Math.sqrt(Math.max(...bars.counts));
  const chosen = bars.counts.slice(from, to + 1).reduce((sum, count) => sum + count, 0);
  const said = words.timeSpan(...spanOf(bars, from, to), chosen);

  const apply = ([one, other]) => {
    clearTimeout(due.current);
    onSearch({ ...state, span: one === 0 && other === last ? null : spanOf(bars, one, other) });
  };
  const barAt = (event) => {
    const box = plot.current.getBoundingClientRect();
    return Math.min(last, Math.max(0, Math.floor((bars.counts.length * (event.clientX - box.left)) / box.width)));
  };
  const drag = (event) => {
    if (event.button !== 0) return;
    const start = barAt(event);
    const spanTo = (moved) => [Math.min(start, barAt(moved)), Math.max(start, barAt(moved))];
    plot.current.setPointerCapture(event.pointerId);
    plot.current.onpointermove = (moved) => setDraft(spanTo(moved));
    plot.current.onpointerup = (moved) => {
      plot.current.onpointermove = plot.current.onpointerup = null;
      apply(spanTo(moved));
    };
    plot.current.onpointercancel = () => {
      plot.current.onpointermove = plot.current.onpointerup = null;
      setDraft(null);
    };
    setDraft([start, start]);
  };
  const move = (handle, value) => {
    const next = handle === "from" ? [Math.min(value, to), to] : [from, Math.max(value, from)];
    setDraft(next);
    clearTimeout(due.current);
    due.current = setTimeout(() => apply(next), SETTLED_MS);
  };
  const handleOf = (handle, value) => html`
    <input
      type="range"
      min="0"
      max=${last}
      value=${value}
      aria-label=${words[handle]}
      aria-valuetext=${words.month(spanOf(bars, value, value)[handle === "from" ? 0 : 1])}
      oninput=${(event) => {
        const number = Number(event.target.value);
        event.target.value = handle === "from" ? Math.min(number, to) : Math.max(number, from); // never past the other one
        move(handle, number);
      }}
    />
  `;
  return html`
    <fieldset class="timebar">
      <legend>${words.time}</legend>
      <p class="quiet">${said}</p>
      <div class="bars" ref=${plot} onpointerdown=${drag} aria-hidden="true">
        ${bars.counts.map((count, at) => html`
          <i key=${at} class=${at >= from && at <= to ? "chosen" : ""} style=${{ height: `${count && Math.max(4, (100 * Math.sqrt(count)) / most)}%` }}></i>
        `)}
      </div>
      <div class="handles">${handleOf("from", from)}${handleOf("to", to)}</div>
      <div class="marks" aria-hidden="true">
        ${yearMarks(bars, MOST_MARKS).map(({ year, share }) => html`<span key=${year} style=${{ left: `${100 * share}%` }}>${year}</span>`)}
      </div>
    </fieldset>
  `;
}
