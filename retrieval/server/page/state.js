// What is searched and looked at, as the address bar holds it, so that back, reload and sharing work.

import { isMonth } from "./periods.js";

export const EMPTY = { view: "", text: "", parts: [], find: "image", literal: false, where: "", chosen: {}, span: null, area: null, sort: "score", mode: null, only: null, least: null, collection: null, classes: [], open: null, why: false };

/** Screens other than that of a search. */
export const VIEWS = ["map", "duplicates", "albums", "index"];

const CLASSES = ["bytes", "picture", "moment"]; // of duplicates

export const SORTS = ["score", "taken", "name"];

const AREA = /^\d{1,5}(,\d{1,5}){3}$/; // of the map: left, bottom, right, top
const MODES = ["vector", "words", "hybrid"]; // of ranking
const VERDICTS = ["sure", "likely", "doubtful"];
const DIGEST = /^[0-9a-f]{64}$/;

/** Read a state from the part of an address after the question mark; what is malformed is left out. */
export function fromAddress(search) {
  const values = new URLSearchParams(search);
  return {
    view: VIEWS.includes(values.get("view")) ? values.get("view") : "",
    text: values.get("q") ?? "",
    parts: values.getAll("p").map(partOf).filter((part) => part !== null),
    find: values.get("find") === "text" ? "text" : "image",
    literal: values.get("literal") === "1",
    where: values.get("where") ?? "",
    chosen: chosenOf(values.getAll("f")),
    span: spanOf(values.get("t")),
    area: areaOf(values.get("area")),
    sort: SORTS.includes(values.get("sort")) ? values.get("sort") : "score",
    mode: MODES.includes(values.get("mode")) ? values.get("mode") : null,
    only: VERDICTS.includes(values.get("only")) ? values.get("only") : null,
    least: scoreOf(values.get("least")),
    collection: values.get("c"),
    classes: CLASSES.filter((one) => values.getAll("class").includes(one)),
    open: idOf(values.get("open")),
    why: values.get("why") === "1",
  };
}

/** Write a state as an address. */
export function toAddress(state) {
  const values = new URLSearchParams();
  if (state.view) values.append("view", state.view);
  if (state.text) values.append("q", state.text);
  for (const part of state.parts) values.append("p", nameOf(part));
  if (state.find !== "image") values.append("find", state.find);
  if (state.literal) values.append("literal", "1");
  if (state.where) values.append("where", state.where);
  for (const [field, chosen] of Object.entries(state.chosen)) for (const value of chosen) values.append("f", `${field}~${value}`);
  if (state.span) values.append("t", state.span.join(".."));
  if (state.area) values.append("area", state.area.join(","));
  if (state.sort !== "score") values.append("sort", state.sort);
  if (state.mode) values.append("mode", state.mode);
  if (state.only) values.append("only", state.only);
  if (state.least !== null) values.append("least", state.least);
  if (state.collection) values.append("c", state.collection);
  for (const one of state.classes) values.append("class", one);
  if (state.open !== null) values.append("open", state.open);
  if (state.open !== null && state.why) values.append("why", "1");
  const text = values.toString();
  return text ? `/?${text}` : "/";
}

/** Whether two states ask the same, whatever is open. */
export const asksSame = (one, other) => toAddress({ ...one, open: null, why: false }) === toAddress({ ...other, open: null, why: false });

function chosenOf(names) {
  const chosen = {};
  for (const name of names) {
    const [field, ...rest] = name.split("~");
    if (!rest.length || !/^[\w:]+$/.test(field) || field === "__proto__") continue;
    if (field === "year" && !/^\d{4}$/.test(rest.join("~"))) continue;
    (chosen[field] ??= []).push(rest.join("~"));
  }
  return chosen;
}

function areaOf(text) {
  return AREA.test(text ?? "") ? text.split(",").map(Number) : null;
}

function scoreOf(text) {
  const score = Number(text);
  return text && Number.isFinite(score) && Math.abs(score) <= 1 ? score : null;
}

function spanOf(text) {
  const span = (text ?? "").split("..");
  return span.length === 2 && span.every(isMonth) && span[0] <= span[1] ? span : null;
}

function idOf(text) {
  const id = Number(text);
  return text !== null && Number.isSafeInteger(id) && id > 0 ? id : null;
}

function partOf(name) {
  const [weightText, kind, ...rest] = name.split("~");
  const weight = Number(weightText);
  const value = rest.join("~");
  if (!Number.isFinite(weight) || weight === 0 || Math.abs(weight) > 100) return null;
  if (kind === "i" && idOf(value) !== null) return { item: idOf(value), weight };
  if (kind === "u" && DIGEST.test(value)) return { upload: value, weight };
  if (kind === "t" && value.trim()) return { text: value, weight };
  return null;
}

function nameOf(part) {
  if (part.item !== undefined) return `${part.weight}~i~${part.item}`;
  if (part.upload !== undefined) return `${part.weight}~u~${part.upload}`;
  return `${part.weight}~t~${part.text}`;
}
