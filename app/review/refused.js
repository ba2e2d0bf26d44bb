// Answers that were refused for good: each in words, there until the reader has seen them.

function openRefused() {
  const dismissed = new Set(), words = el("div", {});
  let listed = [];
  const seen = () => { for (const [id] of listed) dismissed.add(id); node.hidden = true; };
  const node = el("div", { class: "refused", role: "alert", hidden: "" }, el("b", {}, "Not saved, and not sent again"), words,
    el("button", { type: "button", class: "choice", onclick: seen }, el("kbd", {}, "Esc"), "Seen"));
  function show(list) {
    listed = list;
    const left = list.filter(([id]) => !dismissed.has(id));
    words.replaceChildren(...left.map(([, text]) => el("p", {}, text)));
    node.hidden = left.length === 0;
  }
  return { node, show, seen };
}
