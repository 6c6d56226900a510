// The languages of the page, each loaded when it is first spoken.

const LOADERS = {
  en: () => import("./english.js"),
  zh: () => import("./chinese.js"),
};

/** Load what the page says in a language. */
export const wordsOf = async (language) => (await LOADERS[language]()).words;

/** The language that the user chose, else the first of the browser's that the page speaks. */
export function firstLanguage() {
  const chosen = localStorage.getItem("language");
  if (Object.hasOwn(LOADERS, chosen)) return chosen;
  for (const tag of navigator.languages ?? []) {
    const language = tag.slice(0, 2).toLowerCase();
    if (Object.hasOwn(LOADERS, language)) return language;
  }
  return "en";
}
