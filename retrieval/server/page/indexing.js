// What the collection was made from, indexing it again, and adding pictures; only where the server lets clients write.

import { html, useCallback, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import * as api from "./api.js";
import { Trouble } from "./views.js";

export function View({ words, state, server }) {
  const [corpora, setCorpora] = useState(null);
  const [error, setError] = useState(null); // of reading the list
  const [refusal, setRefusal] = useState(null); // of the last thing that was asked for
  const read = useCallback(() => api.corpora(state.collection).then((found) => setCorpora(found.corpora), (failed) => setError(failed.message)), [state.collection]);
  const [run, follow] = useRun(read);
  useEffect(() => {
    read();
  }, [read]);

  const start = async (what) => {
    setRefusal(null);
    try {
      await api.startIndex(what, state.collection);
      follow();
    } catch (failed) {
      setRefusal(failed.message === "offline" ? words.offline : failed.message);
    }
  };
  const stop = () => api.stopIndex().catch((failed) => setRefusal(failed.message));
  if (error) return html`<${Trouble} words=${words} error=${error} onRetry=${() => location.reload()} />`;
  if (!corpora) return html`<p class="quiet" role="status">${words.loading}</p>`;
  const isRunning = run?.state === "running";
  return html`
    <div class="heading">
      <h1>${words.views.index}</h1>
      <div class="choices">
        <button type="button" class="primary" disabled=${isRunning || !corpora.some((one) => one.can_be_indexed)} onclick=${() => start({})}>${words.indexAll}</button>
      </div>
    </div>
    <p class="quiet lead">${words.indexMore}</p>
    ${refusal && html`<p class="warning" role="alert">${refusal}</p>`}
    ${run && html`<${Run} words=${words} run=${run} onStop=${stop} />`}
    ${server.adds && html`<${Adding} words=${words} state=${state} isRunning=${isRunning} onAdded=${() => start({ added: true })} />`}
    ${corpora.length
      ? html`<ul class="corpora">${corpora.map((one) => html`<${Corpus} key=${one.id} words=${words} corpus=${one} isRunning=${isRunning} onStart=${() => start({ corpora: [one.id] })} />`)}</ul>`
      : html`<div class="empty"><h2>${words.nothing}</h2><p>${words.nothingMore}</p></div>`}
  `;
}

/** The index run that is under way, or the last one, as the server tells of it; and a function that follows a new one. */
function useRun(onEnd) {
  const [run, setRun] = useState(null);
  const source = useRef(null);
  const follow = useCallback(() => {
    source.current?.close();
    source.current = new EventSource("/v1/index/events");
    source.current.onmessage = ({ data }) => {
      const told = JSON.parse(data);
      setRun(told);
      if (told.state === "running") return;
      source.current.close(); // else the browser would ask again
      onEnd();
    };
  }, [onEnd]);
  useEffect(() => {
    api.indexRun().then((last) => {
      setRun(last);
      if (last?.state === "running") follow();
    }, () => {});
    return () => source.current?.close();
  }, [follow]);
  return [run, follow];
}

function Run({ words, run, onStop }) {
  const isRunning = run.state === "running";
  const said = isRunning ? words.indexing(run.corpus?.name) : words.runStates[run.state];
  return html`
    <section class="run" aria-label=${words.indexRun}>
      <p role="status">${said}</p>
      ${isRunning && html`
        ${run.total ? html`<progress max=${run.total} value=${run.done} aria-label=${said}></progress>` : html`<progress aria-label=${said}></progress>`}
        <p class="quiet">${words.indexed(run.done, run.total, run.failed)}</p>
        <button type="button" onclick=${onStop}>${words.stop}</button>
      `}
      ${run.error && html`<p class="warning">${run.error}</p>`}
      <ul>
        ${run.reports.map((report, at) => html`<li key=${at} class=${report.error ? "warning" : ""}><b>${report.corpus?.name}</b> ${report.error ?? words.report(report)}</li>`)}
      </ul>
    </section>
  `;
}

/** Send pictures to the server's folder for them, one after the other. */
function Adding({ words, state, isRunning, onAdded }) {
  const [sent, setSent] = useState(null); // {done, all, failures}
  const file = useRef(null);
  const add = async (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    const failures = [];
    for (const [done, one] of files.entries()) {
      setSent({ done, all: files.length, failures });
      try {
        const { upload } = await api.upload(one);
        await api.addPicture(upload, one.name, state.collection);
      } catch (failed) {
        failures.push(`${one.name}: ${failed.message === "offline" ? words.offline : failed.message}`);
      }
    }
    setSent({ done: files.length, all: files.length, failures });
    if (failures.length < files.length) onAdded();
  };
  const isSending = sent !== null && sent.done < sent.all;
  return html`
    <section class="adding">
      <input ref=${file} type="file" accept="image/*" multiple hidden onchange=${add} />
      <button type="button" disabled=${isSending || isRunning} onclick=${() => file.current.click()}>${words.addPictures}</button>
      <span role="status" class="quiet">${sent && (isSending ? words.sending(sent.done, sent.all) : words.sent(sent.all - sent.failures.length))}</span>
      ${sent?.failures.map((failure) => html`<p key=${failure} class="warning" role="alert">${failure}</p>`)}
    </section>
  `;
}

function Corpus({ words, corpus, isRunning, onStart }) {
  return html`
    <li>
      <h2 title=${corpus.uri}>${corpus.name}</h2>
      <p class="quiet">${words.corpus(corpus)}</p>
      ${corpus.uri && html`<p class="quiet path">${corpus.uri.startsWith("file:///") ? decodeURI(corpus.uri.slice(7)) : corpus.uri}</p>`}
      ${corpus.can_be_indexed
        ? html`<button type="button" disabled=${isRunning} aria-label=${words.indexAgainLabel(corpus.name)} onclick=${onStart}>${words.indexAgain}</button>`
        : html`<p class="quiet">${words.notByItself}</p>`}
    </li>
  `;
}
