// For the search page of the Sphinx site. Sphinx finds pages; this names the sections of each that have the words.
"use strict";

if (typeof Search === "object") {
  const MOST = 4; // sections of one page
  const original = Search.makeSearchSummary;

  // The text of a section without its heading and the sections in it.
  const ownText = (section) => {
    const copy = section.cloneNode(true);
    copy.querySelectorAll("section, h1, h2, h3, h4, script, style, button").forEach((e) => e.remove());
    return copy.textContent.replace(/\s+/g, " ").trim();
  };
  const count = (text, words) =>
    words.reduce((sum, word) => sum + text.split(word).length - 1, 0);

  const found = (page, words) =>
    [...page.querySelectorAll("[role=main] section[id]")]
      .map((section) => {
        const heading = section.querySelector("h1, h2, h3, h4");
        heading?.querySelectorAll(".headerlink").forEach((e) => e.remove());
        const title = heading?.textContent.trim() ?? section.id;
        const text = ownText(section);
        const hits = 5 * count(title.toLowerCase(), words) + count(text.toLowerCase(), words);
        return { id: section.id, title, text, hits };
      })
      .filter((section) => section.hits)
      .sort((one, other) => other.hits - one.hits)
      .slice(0, MOST);

  const passage = (text, words) => {
    const places = words.map((word) => text.toLowerCase().indexOf(word)).filter((at) => at >= 0);
    const start = places.length ? Math.max(0, Math.min(...places) - 60) : 0;
    return (start ? "…" : "") + text.slice(start, start + 160).trim() + (start + 160 < text.length ? "…" : "");
  };

  Search.makeSearchSummary = (html, keywords, anchor) => {
    if (anchor) return original(html, keywords, anchor) ?? document.createElement("p");
    const words = [...keywords].map((word) => word.toLowerCase());
    const page = new DOMParser().parseFromString(html, "text/html");
    const list = document.createElement("ul");
    list.className = "search-sections";
    for (const section of found(page, words)) {
      const item = list.appendChild(document.createElement("li"));
      const link = item.appendChild(document.createElement("a"));
      link.href = `#${section.id}`;
      link.textContent = section.title;
      const text = item.appendChild(document.createElement("p"));
      text.className = "context";
      text.textContent = passage(section.text, words);
    }
    // Only when the list stands below its page's link is it known which page this is.
    queueMicrotask(() => {
      const base = list.closest("#search-results > ul > li")?.querySelector("a").href;
      if (base) list.querySelectorAll("a").forEach((a) => (a.href = new URL(a.getAttribute("href"), base).href));
    });
    return list;
  };
}
