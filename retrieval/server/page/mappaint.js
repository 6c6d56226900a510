// How a map looks: points as pixels, so that a hundred thousand take a few milliseconds, and pictures where few are seen.

const FEW = 70; // points that are seen, from which on they are pictures
const KEPT = 400; // pictures in memory
const THUMBNAIL = 76; // pixels of the longer side
const SMALLER = 0.62; // of pictures that stand for the points around them
const CELL = 120; // pixels, in each of which one picture stands for its points
const ENOUGH = 3; // points in a cell that need one

/** Paint what a camera sees. */
export function paint(canvas, { points, within, camera, size, area, pointed, pictures, isStill, source, onPicture }) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  pen.clearRect(0, 0, width, height);
  const place = (at) => [width / 2 + (points.x[at] - camera.x) * camera.scale * ratio, height / 2 - (points.y[at] - camera.y) * camera.scale * ratio];
  const areFew = within.length <= FEW;
  paintPoints(pen, { points, within, camera, ratio, colour: style.color });
  for (const at of areFew ? within : landmarks(points, within, camera, size)) paintPicture(pen, isStill ? pictureOf(pictures, points.ids[at], source, onPicture) : pictures.get(points.ids[at]), place(at), ratio * (areFew ? 1 : SMALLER));
  if (area) paintArea(pen, area, camera, width, height, ratio, style.accentColor);
  if (pointed !== null) {
    pen.strokeStyle = style.accentColor;
    pen.lineWidth = 3 * ratio;
    pen.beginPath();
    pen.arc(...place(pointed), 7 * ratio, 0, 2 * Math.PI);
    pen.stroke();
  }
}

/** Paint points by counting them in each pixel first: half the time of blending one by one. */
function paintPoints(pen, { points, within, camera, ratio, colour }) {
  const { width, height } = pen.canvas;
  const { x, y } = points;
  const scale = camera.scale * ratio;
  const radius = Math.round((within.length > 20_000 ? 0.4 : within.length > 2000 ? 1.2 : 2) * ratio);
  const counts = new Uint16Array(width * height);
  for (let number = 0; number < within.length; number += 1) {
    const at = within[number];
    const column = Math.round(width / 2 + (x[at] - camera.x) * scale);
    const row = Math.round(height / 2 - (y[at] - camera.y) * scale);
    const first = Math.max(0, column - radius);
    const last = Math.min(width - 1, column + radius);
    const bottom = Math.min(height - 1, row + radius);
    for (let line = Math.max(0, row - radius); line <= bottom; line += 1) {
      for (let pixel = line * width + first; pixel <= line * width + last; pixel += 1) counts[pixel] += 1;
    }
  }
  const strength = within.length > 20_000 ? 110 : 130; // opacity of one point; where several lie it adds up
  const [red, green, blue] = colour.match(/[\d.]+/g).map(Number);
  const image = pen.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const ink = (blue << 16) | (green << 8) | red; // on machines of the common, little-endian, order
  for (let pixel = 0; pixel < counts.length; pixel += 1) {
    if (counts[pixel]) pixels[pixel] = (Math.min(255, counts[pixel] * strength) << 24) | ink;
  }
  pen.putImageData(image, 0, 0);
}

/** A point of each cell with enough of them, the same one wherever the camera moves. */
function landmarks({ x, y }, within, camera, { width, height }) {
  const steps = CELL / camera.scale; // of the map, that a cell is wide
  const left = Math.floor((camera.x - width / 2 / camera.scale) / steps);
  const bottom = Math.floor((camera.y - height / 2 / camera.scale) / steps);
  const columns = Math.ceil(width / CELL) + 2;
  const rows = Math.ceil(height / CELL) + 2;
  const counts = new Int32Array(columns * rows);
  const firsts = new Int32Array(columns * rows);
  for (const at of within) {
    const cell = (Math.floor(y[at] / steps) - bottom) * columns + Math.floor(x[at] / steps) - left;
    if (counts[cell] === 0) firsts[cell] = at;
    counts[cell] += 1;
  }
  return [...firsts].filter((_, cell) => counts[cell] >= ENOUGH);
}

function pictureOf(pictures, id, source, onPicture) {
  const known = pictures.get(id);
  if (known) return known;
  const picture = new Image();
  picture.onload = onPicture;
  picture.src = source(id);
  pictures.set(id, picture);
  if (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
  return picture;
}

function paintPicture(pen, picture, [x, y], ratio) {
  if (!picture?.complete || !picture.naturalWidth) return;
  const scale = (THUMBNAIL * ratio) / Math.max(picture.naturalWidth, picture.naturalHeight);
  const [width, height] = [picture.naturalWidth * scale, picture.naturalHeight * scale];
  pen.drawImage(picture, x - width / 2, y - height / 2, width, height);
}

function paintArea(pen, [left, bottom, right, top], camera, width, height, ratio, colour) {
  const scale = camera.scale * ratio;
  pen.strokeStyle = colour;
  pen.lineWidth = 2 * ratio;
  pen.strokeRect(width / 2 + (left - camera.x) * scale, height / 2 - (top - camera.y) * scale, (right - left) * scale, (top - bottom) * scale);
}
