// Why an item has its score: shares of the words of the query, and where in the picture, drawn over it.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { allParts, explain } from "./api.js";

// as vlsearch query --explain draws it (retrieval/query/overlay.py)
const STRONGEST = 0.72;
const FAINT = 0.1;
const STEEP = 0.7;
const UNSEEN = 0.65;
const COLOURS = [[255, 214, 0], [255, 120, 0], [214, 0, 40]];

/** Ask why an item was found: {status: "off" | "loading" | "done" | "failed", found, error}. */
export function useExplanation(state, hit, isWanted) {
  const [answer, setAnswer] = useState({ of: null });
  const asked = isWanted ? JSON.stringify([hit.id, state.collection, state.literal, allParts(state)]) : null;
  useEffect(() => {
    if (asked === null) return undefined;
    const abort = new AbortController();
    explain(hit.id, state, abort.signal).then(
      (found) => setAnswer({ of: asked, status: "done", found }),
      (error) => error.name !== "AbortError" && setAnswer({ of: asked, status: "failed", error: error.message }),
    );
    return () => abort.abort();
  }, [asked]);
  if (asked === null) return { status: "off" };
  return answer.of === asked ? answer : { status: "loading" };
}

/** Where in the picture the score comes from, over an image of a natural size that fits its stage as the canvas does. */
export function Overlay({ words, picture, width, height }) {
  const canvas = useRef(null);
  useEffect(() => {
    const pen = canvas.current.getContext("2d");
    pen.clearRect(0, 0, width, height);
    drawHeat(pen, picture.relevance, width, height);
    drawMarks(pen, picture, width, height);
  }, [picture, width, height]);
  return html`<canvas ref=${canvas} class="overlay" width=${width} height=${height} role="img" aria-label=${placeOf(words, picture)}></canvas>`;
}

/** A frame around the part of a picture that was found, over an image as the overlay is. */
export function Frame({ words, region: [left, top, partWidth, partHeight], width, height }) {
  const canvas = useRef(null);
  useEffect(() => {
    const pen = canvas.current.getContext("2d");
    pen.clearRect(0, 0, width, height);
    drawMarks(pen, { region: { left, top, width: partWidth, height: partHeight }, point: null }, width, height);
  }, [left, top, partWidth, partHeight, width, height]);
  return html`<canvas ref=${canvas} class="overlay" width=${width} height=${height} role="img" aria-label=${words.byRegion}></canvas>`;
}

/** Shares of parts and words, and the strongest place, as text. */
export function Reasons({ words, explanation }) {
  const { status, found, error } = explanation;
  return html`
    <section class="reasons" aria-label=${words.why} aria-busy=${status === "loading"} aria-live="polite">
      ${status === "loading" && html`<p class="quiet">${words.explaining}</p>`}
      ${status === "failed" && html`<p class="warning">${error === "offline" ? words.offline : error}</p>`}
      ${status === "done" && html`
        ${found.parts.map((part, at) => html`<${Part} key=${at} words=${words} part=${part} isOnly=${found.parts.length === 1} />`)}
        ${found.picture && html`<p class="quiet">${placeOf(words, found.picture)}</p>`}
        ${found.reason && html`<p class="quiet">${words.notInPicture(found.reason)}</p>`}
      `}
    </section>
  `;
}

function Part({ words, part, isOnly }) {
  const name = part.part === "picture" ? words.picture : part.part;
  return html`
    <h3>${isOnly ? words.wordShares : html`${name} <span class="score">${signed(part.contribution)}</span>`}</h3>
    ${part.words.length > 0
      ? html`<ul class="shares">
          ${part.words.map((word) => html`
            <li key=${word.start}>
              <span>${word.text}</span>
              <span class="share" aria-hidden="true"><i style=${{ width: `${100 * word.share}%` }}></i></span>
              <span class="score">${word.drop < 0 ? words.against : `${Math.round(100 * word.share)} %`}</span>
            </li>
          `)}
        </ul>`
      : isOnly && html`<p class="quiet">${name}</p>`}
  `;
}

const signed = (number) => `${number < 0 ? "\u2212" : "+"}${Math.abs(number).toFixed(3)}`;

const placeOf = (words, { point }) => (point ? words.strongestAt(Math.round(100 * point[0]), Math.round(100 * point[1])) : words.nowhere);

function drawHeat(pen, { seen, values }, width, height) {
  const cells = document.createElement("canvas");
  cells.width = values[0].length;
  cells.height = values.length;
  const cellPen = cells.getContext("2d");
  const image = cellPen.createImageData(cells.width, cells.height);
  values.flat().forEach((heat, at) => image.data.set(colourOf(heat), 4 * at));
  cellPen.putImageData(image, 0, 0);
  const box = [seen.left * width, seen.top * height, seen.width * width, seen.height * height];
  pen.fillStyle = `rgb(0 0 0 / ${UNSEEN})`;
  pen.fillRect(0, 0, width, height);
  pen.clearRect(...box);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(cells, ...box);
}

function colourOf(heat) {
  const place = Math.min(1, Math.max(0, heat)) * (COLOURS.length - 1);
  const at = Math.min(COLOURS.length - 2, Math.floor(place));
  const mixed = COLOURS[at].map((low, channel) => low + (COLOURS[at + 1][channel] - low) * (place - at));
  return [...mixed, 255 * STRONGEST * Math.max(0, (heat - FAINT) / (1 - FAINT)) ** STEEP];
}

/** Draw frame and ring, white upon black, so that they show on any picture. */
function drawMarks(pen, { region, point }, width, height) {
  const unit = Math.max(width, height) / 480;
  for (const [colour, thickness] of [["black", 2 * unit], ["white", unit]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = thickness;
    if (region) pen.strokeRect(region.left * width, region.top * height, region.width * width, region.height * height);
    if (point) {
      pen.beginPath();
      pen.arc(point[0] * width, point[1] * height, 6 * unit, 0, 2 * Math.PI);
      pen.stroke();
    }
  }
}
