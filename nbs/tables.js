// For both renderers of the site. A table that is wider than the screen becomes a list: one entry for each row, with the names of the columns.
"use strict";

const tables = new Set(document.querySelectorAll("article table, main table"));

for (const table of tables) {
  const names = [...table.querySelectorAll("thead th")].map((name) => name.textContent.trim());
  for (const row of table.querySelectorAll("tbody tr"))
    [...row.cells].forEach((cell, n) => names[n] && (cell.dataset.column = names[n]));
}

const isWide = (table) =>
  [table, table.parentElement].some((box) => box.scrollWidth > box.clientWidth) || table.offsetWidth > table.parentElement.clientWidth;

const fit = () => {
  for (const table of tables) table.classList.remove("as-list");
  const wide = [...tables].filter(isWide);
  for (const table of wide) table.classList.add("as-list");
};

fit();
addEventListener("load", fit); // pictures and fonts are there
addEventListener("resize", fit);

// A long name in a heading, such as those of the reference, breaks behind a dot or an underscore, and not within a word.
for (const place of document.querySelectorAll(":is(article, main) :is(h1, h2, h3), .toc-tree a, .related-pages .title"))
  for (const text of [...place.childNodes])
    if (text.nodeType === Node.TEXT_NODE && /^\s*\w+([._]\w+)+\s*$/.test(text.data))
      text.replaceWith(...text.data.split(/(?<=[._])/).flatMap((part) => [part, document.createElement("wbr")]));
