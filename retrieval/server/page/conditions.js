// Conditions of a state in the language of --where. Pure.

const quoted = (value) => `"${value.replaceAll('"', '""')}"`;

const CONDITIONS = {
  year: (values) => `taken in (${values.join(", ")})`,
  folder: (values) => values.map((value) => `folder under ${quoted(value)}`).join(" or "),
  keywords: (values) => values.map((value) => `keywords contains ${quoted(value)}`).join(" or "),
};
const equals = (field) => (values) => `${quoted(field)} in (${values.map(quoted).join(", ")})`;

/** The condition of a state in the language of --where; empty where there is none. */
export function conditionOf(state) {
  const chosen = Object.entries(state.chosen).filter(([, values]) => values.length);
  const conditions = chosen.map(([field, values]) => (CONDITIONS[field] ?? equals(field))(values));
  if (state.span) conditions.push(`taken >= ${state.span[0]} and taken <= ${state.span[1]}`);
  if (state.where) conditions.unshift(state.where);
  return conditions.length === 1 ? conditions[0] : conditions.map((condition) => `(${condition})`).join(" and ");
}

/** The conditions of a state one by one: [{field, value, without}], the last of which is the state without it. */
export function conditionList(state) {
  const chosen = Object.entries(state.chosen).flatMap(([field, values]) =>
    values.map((value) => ({
      field,
      value,
      without: { ...state, chosen: { ...state.chosen, [field]: values.filter((one) => one !== value) } },
    })),
  );
  if (state.span) chosen.push({ field: "time", value: state.span, without: { ...state, span: null } });
  if (state.mode) chosen.push({ field: "mode", value: state.mode, without: { ...state, mode: null } });
  if (state.only) chosen.push({ field: "only", value: state.only, without: { ...state, only: null } });
  if (state.least !== null) chosen.push({ field: "least", value: state.least, without: { ...state, least: null } });
  if (state.area) chosen.push({ field: "area", value: state.area, without: { ...state, area: null } });
  if (state.where) chosen.push({ field: "where", value: state.where, without: { ...state, where: "" } });
  return chosen;
}

/** A state without any condition. */
export const withoutConditions = (state) => ({ ...state, where: "", chosen: {}, span: null, area: null, mode: null, only: null, least: null });
