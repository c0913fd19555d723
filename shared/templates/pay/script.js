// Keeps the page current: asks for the state, and when it has changed swaps <main> for the new one.
(() => {
  "use strict";
  const FAST = 3000, SLOW = 10000, SLOWEST = 60000, FAST_POLLS = 200;
  const main = () => document.getElementById("payment");
  let wait = FAST, unchanged = 0, timer = 0, busy = false, ahead = 0;

  const setClock = () => { ahead = Number(main().dataset.now) - Date.now() / 1000; };
  const two = (n) => String(n).padStart(2, "0");
  const left = (s) => {
    const h = Math.floor(s / 3600), m = Math.floor(s / 60);
    if (s >= 86400) return `${Math.floor(s / 86400)} d ${h % 24} h`;
    return s >= 3600 ? `${h} h ${m % 60} min` : `${m}:${two(s % 60)}`;
  };

  const get = async (url, accept) => {
    const options = { cache: "no-store", credentials: "omit", headers: { accept } };
    const answer = await fetch(url, { ...options, signal: AbortSignal.timeout?.(15000) });
    if (!answer.ok) throw new Error(answer.status);
    return answer;
  };

  const keep = () => ({
    focus: document.activeElement && document.activeElement.id,
    open: [...document.querySelectorAll("details[open]")].map((one) => one.id),
  });
  const restore = ({ focus, open }) => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    const one = focus && document.getElementById(focus);
    if (one) one.focus({ preventScroll: true });
  };

  const swap = async () => {
    const text = await (await get(location.pathname, "text/html")).text();
    const page = new DOMParser().parseFromString(text, "text/html");
    const next = page.getElementById("payment"), old = main();
    if (!next) throw new Error("not a payment");
    const kept = keep();
    old.replaceWith(next);
    restore(kept);
    setClock();
    document.title = page.title;
    if (next.dataset.headline !== old.dataset.headline) {
      document.getElementById("announcement").textContent = next.dataset.headline;
    }
  };

  const poll = async () => {
    if (busy || !main() || "ended" in main().dataset) return;
    clearTimeout(timer);
    if (document.hidden) return;
    busy = true;
    try {
      const state = await (await get(main().dataset.state, "application/json")).json();
      if (state.fingerprint !== main().dataset.fingerprint) {
        await swap();
        unchanged = 0;
      }
      unchanged += 1;
      wait = unchanged > FAST_POLLS ? SLOW : FAST;
    } catch {
      wait = Math.min(wait * 2, SLOWEST);
    }
    busy = false;
    timer = setTimeout(poll, wait);
  };

  const tick = () => {
    for (const one of document.querySelectorAll("time[data-until]")) {
      const seconds = Math.max(0, Math.round(one.dataset.until - Date.now() / 1000 - ahead));
      const text = left(seconds);
      if (one.textContent === text) continue;
      one.textContent = text;
      if (seconds === 0) poll();
    }
  };

  const copy = async (button) => {
    const text = button.dataset.copy;
    let copied = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Frames often may not use the clipboard by its own interface; a selection can be copied nearly anywhere.
      const field = document.createElement("textarea");
      field.value = text;
      button.after(field);
      field.select();
      copied = document.execCommand("copy");
      field.remove();
      button.focus();
    }
    // What could not be copied is selected, so that one key does it.
    if (!copied) getSelection().selectAllChildren(button.parentElement.querySelector(".value"));
    button.textContent = copied ? "Copied" : "Selected";
    document.getElementById("announcement").textContent = copied ? "Copied" : "Could not be copied, but is selected";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  document.documentElement.classList.add("js");
  if (!main()) return;
  setClock();
  setInterval(tick, 1000);
  timer = setTimeout(poll, FAST);
  document.addEventListener("visibilitychange", () => { wait = FAST; unchanged = 0; poll(); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
})();
