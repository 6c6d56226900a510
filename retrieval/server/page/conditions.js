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
  if (state.where) conditions.unshift(state.where);
  return conditions.length === 1 ? conditions[0] : conditions.map((condition) => `(${condition})`).join(" and ");
}

/** How many conditions a state has. */
export const filterCount = (state) =>
  Object.values(state.chosen).reduce((sum, values) => sum + values.length, state.where ? 1 : 0);
