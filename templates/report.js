"use strict";
// Searches, sorts and filters the table of lines. Without it, the table shows every line as it is.
(() => {
  const step = 100;
  const get = (id) => document.getElementById(id);
  const table = get("lines"), body = table.tBodies[0], statusAt = Number(table.dataset.status);
  const search = get("search"), status = get("status"), sort = get("sort"), turn = get("turn");
  const shownWords = get("shown"), more = get("more");
  const cell = (row, at) => row.cells[at].textContent;
  const lines = Array.from(body.rows, (row) => ({
    row,
    text: Array.from(row.cells, (one) => one.textContent).join("\n").toLowerCase(),
    status: cell(row, statusAt),
  }));
  const titles = Array.from(table.tHead.rows[0].cells);
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  let matching = lines, most = step, column = 0, isDescending = false;

  const draw = () => {
    const shown = matching.slice(0, most);
    body.replaceChildren(...shown.map((line) => line.row));
    more.hidden = shown.length === matching.length;
    const number = (value) => value.toLocaleString("en");
    shownWords.textContent = matching.length === 0 ? "No line matches"
      : `${number(shown.length)} of ${number(matching.length)} matching lines shown, ${number(lines.length)} in all`;
  };
  const order = () => {
    const keyed = matching.map((line) => [cell(line.row, column), line]);
    keyed.sort((a, b) => (isDescending ? compare(b[0], a[0]) : compare(a[0], b[0])));
    matching = keyed.map((pair) => pair[1]);
    titles.forEach((title, at) => {
      if (at === column) title.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
      else title.removeAttribute("aria-sort");
    });
    sort.value = String(column);
    turn.setAttribute("aria-pressed", String(isDescending));
  };
  const select = () => {
    const text = search.value.trim().toLowerCase(), wanted = status.value;
    matching = lines.filter((line) => (wanted === "" || line.status === wanted) && line.text.includes(text));
    most = step;
    order();
    draw();
  };
  const sortBy = (at, descending) => {
    column = at;
    isDescending = descending;
    order();
    draw();
  };

  titles.forEach((title, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...title.childNodes);
    button.addEventListener("click", () => sortBy(at, column === at && !isDescending));
    title.append(button);
  });
  let waiting;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(select, lines.length > 2000 ? 150 : 0);
  });
  status.addEventListener("change", select);
  sort.addEventListener("change", () => sortBy(Number(sort.value), isDescending));
  turn.addEventListener("click", () => sortBy(column, !isDescending));
  const showMore = (by) => {
    const from = most;
    most += by;
    draw();
    // The buttons may be gone: the focus goes on with what they have shown.
    const first = body.rows[from];
    if (more.hidden && first) {
      first.tabIndex = -1;
      first.focus();
    }
  };
  get("next-lines").addEventListener("click", () => showMore(step));
  get("every-line").addEventListener("click", () => showMore(lines.length));
  document.querySelectorAll("a[data-verdict]").forEach((link) => link.addEventListener("click", () => {
    status.value = link.dataset.verdict;
    search.value = "";
    select();
  }));
  window.addEventListener("beforeprint", () => showMore(lines.length));
  get("controls").hidden = false;
  select();
})();
