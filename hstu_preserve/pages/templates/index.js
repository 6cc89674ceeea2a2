"use strict";
{
  // Without this script the page shows every result in the catalog's order; with it, headings sort and a form filters.
  const form = document.getElementById("filters");
  const tables = [...document.querySelectorAll("table.results")];
  const words = document.getElementById("words");
  const choices = [...form.querySelectorAll("select")];
  const textOf = (row, column) => row.cells[column].textContent.trim();

  const compare = (left, right) => {
    const numbers = [Number(left), Number(right)];
    return numbers.some(Number.isNaN) ? left.localeCompare(right, "en", { numeric: true }) : numbers[0] - numbers[1];
  };

  const sort = (table, column, sign) => {
    const keyOf = (row) => row.cells[column].dataset.order || textOf(row, column);
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      const [left, right] = [keyOf(one), keyOf(other)];
      if (!left || !right) return Number(!left) - Number(!right); // a result without the number stands last either way
      return sign * compare(left, right);
    });
    table.tBodies[0].append(...rows);
    [...table.tHead.rows[0].cells].forEach((heading, place) => {
      if (place === column) heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      else heading.removeAttribute("aria-sort");
    });
  };

  const makeSortable = (table) => {
    table.classList.add("live");
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      button.addEventListener("click", () => {
        sort(table, column, heading.getAttribute("aria-sort") === "ascending" ? -1 : 1);
      });
      heading.replaceChildren(button);
    });
  };

  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const isChosen = choices.every((one) => !one.value || textOf(row, Number(one.dataset.column)) === one.value);
      row.hidden = !isChosen || !wanted.every((word) => text.includes(word));
    }
    for (const table of tables) {
      table.closest("section").hidden = [...table.tBodies[0].rows].every((row) => row.hidden);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    document.getElementById("shown").textContent = `${shown} of ${rows.length} results shown`;
  };

  tables.forEach(makeSortable);
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter)); // once the fields are empty
  filter();
}
