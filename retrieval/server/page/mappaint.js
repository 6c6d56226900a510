// How a map looks: points as pixels, so that a hundred thousand take a few milliseconds, and pictures where few are seen.

const FEW = 70; // points that are seen, from which on they are pictures
const KEPT = 400; // pictures in memory
const THUMBNAIL = 76; // pixels of the longer side
const SMALLER = 0.62; // of pictures that stand for the points around them
const CELL = 120; // pixels, in each of which one picture stands for its points
const ENOUGH = 3; // points in a cell that need one

/** Paint what a camera sees. */
export function paint(canvas, { points, within, camera, size, area, pointed, pictures, source, onPicture }) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  pen.clearRect(0, 0, width, height);
  const place = (at) => [width / 2 + (points.x[at] - camera.x) * camera.scale * ratio, height / 2 - (points.y[at] - camera.y) * camera.scale * ratio];
  const areFew = within.length <= FEW;
  paintPoints(pen, { points, within, camera, ratio, colour: style.color });
  for (const at of areFew ? within : landmarks(points, within, camera)) paintPicture(pen, pictureOf(pictures, points.ids[at], source, onPicture), place(at), ratio * (areFew ? 1 : SMALLER));
  if (area) paintArea(pen, area, camera, width, height, ratio, style.accentColor);
  if (pointed !== null) {
    pen.strokeStyle = style.accentColor;
    pen.lineWidth = 3 * ratio;
    pen.beginPath();
    pen.arc(...place(pointed), 7 * ratio, 0, 2 * Math.PI);
    pen.stroke();
  }
}

function paintPoints(pen, { points, within, camera, ratio, colour }) {
  const { width, height } = pen.canvas;
  const scale = camera.scale * ratio;
  const [red, green, blue] = colour.match(/[\d.]+/g).map(Number);
  const image = pen.createImageData(width, height);
  const bytes = image.data;
  const radius = Math.round((within.length > 20_000 ? 0.6 : within.length > 2000 ? 1.2 : 2) * ratio);
  const strength = within.length > 20_000 ? 70 : 130; // of one point; where several lie they add up
  for (const at of within) {
    const x = Math.round(width / 2 + (points.x[at] - camera.x) * scale);
    const y = Math.round(height / 2 - (points.y[at] - camera.y) * scale);
    const [top, bottom, left, right] = [Math.max(0, y - radius), Math.min(height - 1, y + radius), Math.max(0, x - radius), Math.min(width - 1, x + radius)];
    for (let row = top; row <= bottom; row += 1) {
      for (let pixel = 4 * (row * width + left); pixel <= 4 * (row * width + right); pixel += 4) {
        bytes[pixel] = red;
        bytes[pixel + 1] = green;
        bytes[pixel + 2] = blue;
        bytes[pixel + 3] += strength; // a clamped array: it stays at 255
      }
    }
  }
  pen.putImageData(image, 0, 0);
}

/** A point of each cell with enough of them, the same one wherever the camera moves. */
function landmarks({ x, y }, within, { scale }) {
  const cells = new Map();
  for (const at of within) {
    const key = Math.floor((x[at] * scale) / CELL) * 1e6 + Math.floor((y[at] * scale) / CELL);
    const cell = cells.get(key);
    if (cell) cell.count += 1;
    else cells.set(key, { at, count: 1 });
  }
  return [...cells.values()].filter(({ count }) => count >= ENOUGH).map(({ at }) => at);
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
  if (!picture.complete || !picture.naturalWidth) return;
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
