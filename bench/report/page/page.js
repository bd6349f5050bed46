"use strict";
// The page is complete without this: it adds what a pointer makes possible.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;
  root.classList.add("js");
  const rows = all(".sortable tbody tr");
  const headings = all(".sortable thead th");

  // Every drawing of an engine has an id that ends in engine-N, perhaps with a word for the part after it.
  const numberOf = (element) => (/engine-(\d+)(-[a-z]+)?$/.exec(element.id) || [])[1];
  const drawn = all("svg g[id*='engine-']").filter(numberOf);

  // Chips: show and hide an engine everywhere.
  const toggle = (number, on) => {
    drawn.filter((g) => numberOf(g) === number).forEach((g) => g.classList.toggle("off", !on));
    all(`tr[data-engine="${number}"], figure[data-engine="${number}"]`).forEach((e) => e.classList.toggle("off", !on));
  };
  for (const chip of all("[data-toggle]")) {
    chip.addEventListener("click", () => {
      const on = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", on);
      toggle(chip.dataset.toggle, on);
    });
  }

  // Pointing at an engine in a chart: its figures.
  const tip = document.getElementById("tip");
  const hide = () => { tip.hidden = true; };
  const show = (number, x, y) => {
    const lines = rows.filter((row) => row.dataset.engine === number).slice(0, 3).map((row) => {
      const cells = [...row.cells].map((cell) => cell.textContent.trim());
      const figures = headings.flatMap((heading, i) => "hover" in heading.dataset ? [`${heading.textContent} ${cells[i]}`] : []);
      return `${cells[0]}\n${figures.join(" · ")}`;
    });
    tip.textContent = lines.join("\n");
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18}px`;
  };
  for (const g of drawn) {
    g.addEventListener("pointermove", (event) => show(numberOf(g), event.clientX, event.clientY));
    g.addEventListener("pointerleave", hide);
  }
  addEventListener("scroll", hide, { passive: true });

  // Headings sort the table, by number where cells begin with one.
  for (const table of all(".sortable")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((heading, i) => {
      heading.tabIndex = 0;
      const sort = () => {
        const up = heading.getAttribute("aria-sort") !== "ascending";
        [...table.tHead.rows[0].cells].forEach((cell) => cell.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => row.cells[i].textContent.trim();
        const order = (a, b) => {
          const [x, y] = [parseFloat(key(a)), parseFloat(key(b))];
          if (heading.classList.contains("n")) return (isNaN(x) ? Infinity : x) - (isNaN(y) ? Infinity : y);
          return key(a).localeCompare(key(b));
        };
        [...body.rows].sort((a, b) => (up ? 1 : -1) * order(a, b)).forEach((row) => body.append(row));
      };
      heading.addEventListener("click", sort);
      heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
    });
  }

  // Pictures: fade the labels; a click enlarges.
  for (const slider of all("[data-fade]")) {
    slider.addEventListener("input", () => {
      slider.closest("section").style.setProperty("--fade", slider.value / 100);
      document.getElementById("zoom").style.setProperty("--fade", slider.value / 100);
    });
  }
  const zoom = document.getElementById("zoom");
  for (const pile of all(".strip .pile")) {
    pile.addEventListener("click", () => {
      const large = pile.cloneNode(true);
      zoom.querySelector(".pile").replaceWith(large);
      zoom.querySelector("p").textContent = pile.nextElementSibling.textContent;
      zoom.showModal();
    });
  }
  zoom.addEventListener("click", (event) => { if (event.target === zoom) zoom.close(); });

  // Copy the command.
  for (const button of all("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "copied";
    });
  }
})();
