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
