// A map of all pictures: what is alike lies together. Zoomed in, the points become pictures; an area becomes a filter.

import { html, useEffect, useMemo, useRef, useState } from "./vendor/htm-preact-standalone.js";
import * as api from "./api.js";
import { paint } from "./mappaint.js";
import { areaOf, fit, moved, nearest, pointsWithin, zoomed } from "./plane.js";
import { toAddress } from "./state.js";
import { Trouble, Working, useBackground } from "./views.js";

const MOST_POINTS = 100_000;
const STEP = 80; // pixels that an arrow key moves
const KEY_ZOOM = 1.5;
const NEAR = 14; // pixels around a point in which it is meant
const STILL_MS = 150;
const KEYS = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };

export function View({ words, state, onGo, onSearch }) {
  const answer = useBackground((signal, fresh) => api.map({ most: MOST_POINTS, fresh, collection: state.collection }, signal), state.collection);
  if (answer.status === "failed") return html`<${Trouble} words=${words} error=${answer.error} onRetry=${answer.again} />`;
  if (answer.status === "running") return html`<${Working} words=${words} text=${words.makingMap} done=${answer.done} total=${answer.total} />`;
  if (!answer.found.ids.length) return html`<div class="empty"><h1>${words.nothing}</h1><p>${words.nothingMore}</p></div>`;
  return html`<${Plane} words=${words} state=${state} map=${answer.found} onAgain=${answer.again} onGo=${onGo} onSearch=${onSearch} />`;
}

function Plane({ words, state, map, onAgain, onGo, onSearch }) {
  const canvas = useRef(null);
  const [size, setSize] = useState(null); // of the canvas, in CSS pixels
  const [camera, setCamera] = useState(null); // {x, y, scale}: the place in the middle, and pixels a step
  const [isSelecting, setSelecting] = useState(false);
  const [box, setBox] = useState(null); // being drawn, in pixels
  const [pointed, setPointed] = useState(null);
  const pictures = useRef(new Map());
  const [, redraw] = useState(0);
  const points = useMemo(() => ({ ...map, x: Int32Array.from(map.x), y: Int32Array.from(map.y) }), [map]);

  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => setSize({ width: contentRect.width, height: contentRect.height }));
    observer.observe(canvas.current);
    return () => observer.disconnect();
  }, []);
  const now = size && (camera ?? fit(points, size));
  const within = useMemo(() => (now ? pointsWithin(points, now, size) : []), [points, now?.x, now?.y, now?.scale, size]);

  useEffect(() => {
    if (!now) return undefined;
    const due = requestAnimationFrame(() =>
      paint(canvas.current, { points, within, camera: now, size, area: state.area, pointed, pictures: pictures.current, isStill: isStill.current, source, onPicture: () => redraw((number) => number + 1) }),
    );
    return () => cancelAnimationFrame(due);
  });
  // pictures are asked for once the camera stands still: each step of a zoom would ask for others
  const isStill = useRef(true);
  useEffect(() => {
    isStill.current = false;
    const due = setTimeout(() => {
      isStill.current = true;
      redraw((number) => number + 1);
    }, STILL_MS);
    return () => clearTimeout(due);
  }, [now?.x, now?.y, now?.scale, size]);
  const source = (id) => api.thumbnail({ id }, 240, state.collection);

  const placeOf = (event) => {
    const bounds = canvas.current.getBoundingClientRect();
    return { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
  };
  const zoom = (factor, place = { x: size.width / 2, y: size.height / 2 }) => setCamera((before) => zoomed(before ?? now, size, place, factor, points));
  const select = (area) => onSearch({ ...state, view: "", area });
  const look = (at) => onGo({ ...state, open: points.ids[at] }, { isOpened: true });

  const fingers = useRef(new Map());
  const onPointerDown = (event) => {
    if (event.button !== 0) return;
    canvas.current.setPointerCapture(event.pointerId);
    fingers.current.set(event.pointerId, placeOf(event));
    fingers.current.start = { ...placeOf(event), hasMoved: false, selects: isSelecting || event.shiftKey };
    setPointed(null);
  };
  const onPointerMove = (event) => {
    const place = placeOf(event);
    const before = fingers.current.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") setPointed(nearest(points, within, now, size, place, NEAR));
      return;
    }
    const { start } = fingers.current;
    start.hasMoved ||= Math.hypot(place.x - start.x, place.y - start.y) > 4;
    fingers.current.set(event.pointerId, place);
    if (fingers.current.size === 2) {
      const [other] = [...fingers.current].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const middle = { x: (place.x + other.x) / 2, y: (place.y + other.y) / 2 };
      zoom(Math.hypot(place.x - other.x, place.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y)), middle);
    } else if (start.selects) setBox({ from: start, to: place });
    else if (start.hasMoved) setCamera((last) => moved(last ?? now, place.x - before.x, place.y - before.y));
  };
  const onPointerUp = (event) => {
    if (!fingers.current.delete(event.pointerId)) return;
    const { start } = fingers.current;
    const place = placeOf(event);
    setBox(null);
    if (event.type === "pointercancel") return;
    if (start.selects && start.hasMoved) select(areaOf(now, size, start, place, points.steps));
    else if (!start.hasMoved) {
      const at = nearest(points, within, now, size, place, NEAR);
      if (at !== null) look(at);
    }
  };
  const onKeyDown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (KEYS[event.key]) setCamera((before) => moved(before ?? now, ...KEYS[event.key]));
    else if (event.key === "+" || event.key === "=") zoom(KEY_ZOOM);
    else if (event.key === "-") zoom(1 / KEY_ZOOM);
    else if (event.key === "0" || event.key === "Home") setCamera(null);
    else if (event.key === "Enter") selectShown();
    else return;
    event.preventDefault();
  };
  const selectShown = () => select(areaOf(now, size, { x: 0, y: 0 }, { x: size.width, y: size.height }, points.steps));
  useEffect(() => {
    const onWheel = (event) => {
      event.preventDefault(); // which a listener that preact adds may not
      if (size) zoom(Math.exp(-event.deltaY / (event.deltaMode ? 15 : 400)), placeOf(event));
    };
    canvas.current.addEventListener("wheel", onWheel, { passive: false });
    return () => canvas.current?.removeEventListener("wheel", onWheel);
  });

  const shown = within.length;
  return html`
    <div class="heading">
      <h1>${words.views.map}</h1>
      <p role="status">${words.onMap(shown, map.total)}</p>
      <div class="choices">
        <button type="button" class="icon" title=${words.zoomIn} aria-label=${words.zoomIn} onclick=${() => zoom(KEY_ZOOM)}><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 5v14M5 12h14" /></svg></button>
        <button type="button" class="icon" title=${words.zoomOut} aria-label=${words.zoomOut} onclick=${() => zoom(1 / KEY_ZOOM)}><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M5 12h14" /></svg></button>
        <button type="button" onclick=${() => setCamera(null)}>${words.fit}</button>
        <button type="button" aria-pressed=${isSelecting} onclick=${() => setSelecting(!isSelecting)}>${words.drawArea}</button>
        <button type="button" class="primary" disabled=${!shown} onclick=${selectShown}>${words.showAsList}</button>
      </div>
    </div>
    ${!map.current && html`<p class="warning">${words.changedSince} <button type="button" class="link" onclick=${onAgain}>${words.layOutAgain}</button></p>`}
    <div class=${`plane ${isSelecting ? "selecting" : ""}`}>
      <canvas
        ref=${canvas}
        tabindex="0"
        role="application"
        aria-label=${words.mapLabel(map.total)}
        aria-describedby="map-help"
        onpointerdown=${onPointerDown}
        onpointermove=${onPointerMove}
        onpointerup=${onPointerUp}
        onpointercancel=${onPointerUp}
        onpointerleave=${() => setPointed(null)}
        onkeydown=${onKeyDown}
      ></canvas>
      ${box && html`<div class="box" style=${{ left: `${Math.min(box.from.x, box.to.x)}px`, top: `${Math.min(box.from.y, box.to.y)}px`, width: `${Math.abs(box.to.x - box.from.x)}px`, height: `${Math.abs(box.to.y - box.from.y)}px` }}></div>`}
      ${pointed !== null && now && html`<${Pointed} points=${points} at=${pointed} camera=${now} size=${size} source=${source} />`}
    </div>
    <p class="hint quiet" id="map-help">${words.mapKeys}</p>
    ${state.area && html`<p class="hint"><a class="link" href=${toAddress({ ...state, view: "" })}>${words.backToArea}</a></p>`}
  `;
}

/** The picture of the point below the mouse. */
function Pointed({ points, at, camera, size, source }) {
  const x = size.width / 2 + (points.x[at] - camera.x) * camera.scale;
  const y = size.height / 2 - (points.y[at] - camera.y) * camera.scale;
  const style = { left: `${Math.min(Math.max(0, x + 14), size.width - 170)}px`, top: `${Math.min(Math.max(0, y + 14), size.height - 130)}px` };
  return html`<img class="pointed" src=${source(points.ids[at])} alt="" style=${style} />`;
}
